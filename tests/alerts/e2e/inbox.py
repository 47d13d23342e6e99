"""Everything that people were told, in one list."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.alerts.receivers import Receivers
from tests.support.waiting import wait_until

_TITLE = re.compile(r"(CRITICAL|WARNING|INFO|NO SEVERITY|RESOLVED): (\w+)")


@dataclass(frozen=True)
class Notice:
    """One message: about which alert, by which channel, whether it begins or ends."""

    channel: str
    state: str
    alert: str

    def __str__(self) -> str:
        return f"{self.channel}: {self.alert} {self.state}"


def _notice(channel: str, text: str) -> Notice:
    found = _TITLE.search(text)
    assert found, f"{channel}: no alert is named in {text!r}"
    return Notice(channel, "resolved" if found[1] == "RESOLVED" else "firing", found[2])


class Inbox:
    """`describe` tells what to show beside the notices when a test fails."""

    def __init__(self, receivers: Receivers, describe: Callable[[], str]) -> None:
        self._receivers = receivers
        self._describe = describe
        self._expected: Counter[Notice] = Counter()

    def wait_for(self, *wanted: Notice, patience: float) -> None:
        """Wait until all of them have come, and expect that each comes just once."""
        self._expected.update(wanted)
        self.wait_until(
            lambda: self._counts() >= self._expected,
            f"it is told: {', '.join(map(str, wanted))}",
            patience,
        )
        self.assert_nothing_else()

    def wait_until(self, happened: Callable[[], bool], what: str, patience: float) -> None:
        """Wait for anything else, and show what was told where it does not happen."""
        try:
            wait_until(happened, what, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.show()}") from None

    def assert_nothing_else(self) -> None:
        """Nothing came that was not waited for, and nothing came twice."""
        counts = self._counts()
        surplus = counts - self._expected
        assert not surplus, (
            f"not expected: {', '.join(map(str, surplus.elements()))}\n{self.show()}"
        )

    def show(self) -> str:
        told = "\n".join(map(str, self._read())) or "nothing"
        return f"--- told\n{told}\n{self._describe()}"

    def heartbeats(self) -> int:
        """How many signs of life there were."""
        return self._receivers.heartbeat.count

    def _read(self) -> list[Notice]:
        slack = [message["attachments"][0]["title"] for message in self._receivers.slack.messages]
        mails = [str(mail["Subject"]) for mail in self._receivers.smtp.messages]
        texts = [sms.text for sms in self._receivers.sns.messages]
        return [
            _notice(channel, text)
            for channel, told in (("slack", slack), ("mail", mails), ("sms", texts))
            for text in told
        ]

    def _counts(self) -> Counter[Notice]:
        return Counter(self._read())
