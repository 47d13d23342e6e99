"""A web server on loopback that stores the posts it gets."""

from typing import ClassVar

from tests.support.stand_in import Reply, Request, StandIn


class Posts(StandIn):
    """A server that stores the bodies of all posts in `bodies`.

    While `failing`, it returns 500 and stores none.
    """

    reply: ClassVar[bytes] = b""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.failing = False
        self.refused = 0
        """The number of posts while it failed."""
        super().__init__()
        self.url += "/"

    def reply_to(self, request: Request) -> Reply:
        if self.failing:
            self.refused += 1
            return Reply(500)
        self.bodies.append(request.body)
        return Reply(body=self.reply)
