"""The real Alertmanager and all its receivers, whose messages can be found by title."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

from tests.alerts.receivers.alertmanager import Alertmanager
from tests.alerts.receivers.receivers import Receivers
from tests.support.waiting import wait_until

T = TypeVar("T")
FACTOR = 100
"""With this factor, a group with news is sent again after three seconds."""


@dataclass
class Office:
    """Everything that was sent and received."""

    receivers: Receivers
    alertmanager: Alertmanager

    def slack(self, title: str) -> dict[str, Any]:
        """Wait for the attachment with this title and return it."""
        return self._wait(
            f"Slack gets {title!r}",
            lambda: [
                payload["attachments"][0]
                for payload in self.receivers.slack.messages
                if payload["attachments"][0]["title"] == title
            ],
        )

    def mail(self, subject: str) -> EmailMessage:
        return self._wait(
            f"a mail {subject!r} comes",
            lambda: [mail for mail in self.receivers.smtp.messages if mail["Subject"] == subject],
        )

    def sms(self, name: str) -> str:
        return self._wait(f"an SMS about {name} arrives", lambda: self.texts(name))

    def texts(self, name: str) -> list[str]:
        return [sms.text for sms in self.receivers.sns.messages if f" {name} " in sms.text]

    def metric(self, pattern: str) -> float:
        """Return the sum of Alertmanager's own series whose name and labels match the pattern."""
        found = re.findall(rf"^{pattern}.* (\S+)$", self.alertmanager.metrics(), re.MULTILINE)
        return sum(map(float, found))

    def _wait(self, what: str, find: Callable[[], list[T]]) -> T:
        try:
            return wait_until(find, what)[0]
        except AssertionError as error:
            titles = [
                message["attachments"][0]["title"] for message in self.receivers.slack.messages
            ]
            subjects = [mail["Subject"] for mail in self.receivers.smtp.messages]
            received = f"Slack: {titles}\nmails: {subjects}\nSMS: {self.receivers.sns.messages}"
            raise AssertionError(f"{error}\n{received}\n{self.alertmanager.tail()}") from None


def open_office(folder: Path, *, office_hours: bool = True, without: str = "") -> Iterator[Office]:
    """Yield one office; `without` names a secret to leave out."""
    receivers = Receivers(folder)
    if without:
        (receivers.secrets / without).unlink()
    try:
        alertmanager = Alertmanager(
            folder / "alertmanager", receivers, factor=FACTOR, office_hours=office_hours
        )
        try:
            yield Office(receivers, alertmanager)
        finally:
            alertmanager.stop()
    finally:
        receivers.stop()
