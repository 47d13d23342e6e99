"""A stand-in for UptimeRobot's API, written from its documentation: pages, limits, stored monitors."""

from typing import Any
from urllib.parse import parse_qs

from tests.support.stand_in import Reply, Request, StandIn

KEY = "u1234567-0123456789abcdef"
CONTACTS = [
    {"id": 11, "friendlyName": "Operators", "type": "EMAIL", "value": "admin@aliaport.com"},
    {"id": 12, "friendlyName": "#aliaport-alerts", "type": "SLACK", "value": "hook"},
    {"id": 13, "friendlyName": "SMS", "type": "SMS", "value": "+900000000000"},
]


def refusal(status: int, **headers: str) -> Reply:
    """Return a scripted response that refuses a request."""
    return Reply(status, b'{"message": "not now"}', headers)


class Robot(StandIn):
    """The API. `monitors` are stored by number; `next_link` replaces the link to the next page."""

    def __init__(self) -> None:
        self.monitors: dict[int, dict[str, Any]] = {}
        self.next_link = ""
        super().__init__()
        self.url += "/v3"

    def add(self, **monitor: Any) -> int:
        number = 100 + len(self.monitors)
        self.monitors[number] = {"id": number, "status": "UP", **monitor}
        return number

    def changes(self) -> list[tuple[str, str, Any]]:
        """Return method, path and body of the requests that could have changed something."""
        return [
            (request.method, _path(request), request.json() if request.body else None)
            for request in self.requests
            if request.method != "GET"
        ]

    def reply_to(self, request: Request) -> Reply:
        path = _path(request)
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return Reply.json({"message": "Unauthorized"}, 401)
        if path == "user/alert-contacts":
            return Reply.json({"data": CONTACTS, "nextLink": None})
        if request.method == "GET":
            return self._page(int(parse_qs(request.url.query).get("cursor", ["0"])[0]))
        if request.method == "POST":
            return Reply.json(self.monitors[self.add(**request.json())], 201)
        number = int(path.rpartition("/")[2])
        if request.method == "PATCH":
            self.monitors[number] |= request.json()
            return Reply.json({})
        del self.monitors[number]
        return Reply(204)

    def _page(self, cursor: int) -> Reply:
        """Return two monitors, and the link to the next page."""
        left = [self.monitors[number] for number in sorted(self.monitors) if number > cursor]
        link = f"{self.url}/monitors?cursor={left[1]['id']}" if len(left) > 2 else None
        return Reply.json({"data": left[:2], "nextLink": self.next_link or link})


def _path(request: Request) -> str:
    return request.url.path.removeprefix("/v3/")
