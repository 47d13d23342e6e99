"""A web server on loopback that keeps what is posted to it."""

from typing import ClassVar

from tests.support.stand_in import Reply, Request, StandIn


class Posts(StandIn):
    """Keeps the bodies of all posts in `bodies`; while `failing`, it answers 500 and keeps none."""

    answer: ClassVar[bytes] = b""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.failing = False
        self.refused = 0
        """How many posts came while it failed."""
        super().__init__()
        self.url += "/"

    def reply_to(self, request: Request) -> Reply:
        if self.failing:
            self.refused += 1
            return Reply(500)
        self.bodies.append(request.body)
        return Reply(body=self.answer)
