"""Amazon's SNS on loopback: a model of it by the program moto."""

import json
import logging
from dataclasses import dataclass
from urllib.request import urlopen

from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class Sms:
    number: str
    text: str


class Sns:
    """Amazon's SNS. `.messages`: the texts sent to phones since it started, the oldest first.

    All instances of a process share one memory: two that run at once see each other's texts.
    """

    def __init__(self) -> None:
        # One line for each request would hide the output of a failing test.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._before = 0
        self._before = len(self.messages)

    @property
    def messages(self) -> list[Sms]:
        with urlopen(f"{self.url}/moto-api/data.json", timeout=10) as response:
            data = json.load(response)
        texts = data.get("sns", {}).get("SMS", [])
        return [
            Sms(message["phone_number"], message["message"]) for message in texts[self._before :]
        ]

    def stop(self) -> None:
        self._server.stop()
