"""All notifications that people got, in one list."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.alerts.receivers import Receivers
from tests.support.waiting import wait_until

_TITLE = re.compile(r"(CRITICAL|WARNING|INFO|NO SEVERITY|RESOLVED): (\w+)")


@dataclass(frozen=True)
class Notice:
    """One message: its channel, its alert, and whether the alert fires or is resolved."""

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
    """The notices of all receivers. `describe` returns what else to show when a test fails."""

    def __init__(self, receivers: Receivers, describe: Callable[[], str]) -> None:
        self._receivers = receivers
        self._describe = describe
        self._expected: Counter[Notice] = Counter()

    def expect(self, *notices: Notice) -> None:
        """Let each of them arrive once, from now on."""
        self._expected.update(notices)

    def wait_for(self, *wanted: Notice, patience: float) -> None:
        """Wait until all of these, which are expected, have arrived."""

        def arrived() -> bool:
            counts = self._counts()
            return all(counts[notice] >= self._expected[notice] for notice in wanted)

        self.wait_until(arrived, f"these arrive: {', '.join(map(str, wanted))}", patience)
        self.assert_nothing_else()

    def wait_until(self, happened: Callable[[], bool], what: str, patience: float) -> None:
        """Wait for anything else, and show the notices if it does not happen."""
        try:
            wait_until(happened, what, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.show()}") from None

    def assert_nothing_else(self) -> None:
        """Check that nothing unexpected arrived and nothing arrived twice."""
        counts = self._counts()
        surplus = counts - self._expected
        assert not surplus, (
            f"not expected: {', '.join(map(str, surplus.elements()))}\n{self.show()}"
        )

    def show(self) -> str:
        notices = "\n".join(map(str, self._read())) or "none"
        return f"--- notices\n{notices}\n{self._describe()}"

    def heartbeats(self) -> int:
        """Return the number of heartbeats."""
        return self._receivers.heartbeat.count

    def _read(self) -> list[Notice]:
        slack = [message["attachments"][0]["title"] for message in self._receivers.slack.messages]
        mails = [str(mail["Subject"]) for mail in self._receivers.smtp.messages]
        texts = [sms.text for sms in self._receivers.sns.messages]
        return [
            _notice(channel, text)
            for channel, received in (("slack", slack), ("mail", mails), ("sms", texts))
            for text in received
        ]

    def _counts(self) -> Counter[Notice]:
        return Counter(self._read())
