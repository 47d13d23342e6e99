"""The faults of the scenes, and how they are repaired."""

from datetime import UTC, date, datetime

from aliaport_currency_sync.business_days import BusinessDays, DayKind

from tests.alerts.stack.stack import Stack


class Application:
    """The mounted application and the plugin, controlled by files that they read."""

    def __init__(self, stack: Stack) -> None:
        self._folder = stack.backend.scenes

    def fail(self, share: float) -> None:
        """Let this share of the requests fail."""
        self._write("fail", share)

    def be_slow(self, seconds: float) -> None:
        self._write("slow", seconds)

    def hang(self) -> None:
        """Let the plugin's probe hang."""
        self._write("hang", 1)

    def be_well(self) -> None:
        for file in self._folder.iterdir():
            file.unlink()

    def _write(self, name: str, value: float) -> None:
        # Renamed, so that nobody reads a partial number.
        new = self._folder.parent / f"{name}.new"
        new.write_text(str(value))
        new.replace(self._folder / name)


class Rates:
    """The bulletins that the source has published and the service has stored."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lost: list[date] = []
        calendar, first = BusinessDays(()), stack.backend.first_day
        overdue = calendar.newest_overdue(datetime.now(UTC))
        self._days = [
            day
            for day in calendar.open_days(first, overdue)
            if calendar.kind(day) is DayKind.BUSINESS
        ]

    def fall_behind(self, bulletins: int) -> None:
        """Remove the newest bulletins from source and database, as if they had not come."""
        since = self._days[-bulletins]
        lost = [day for day in self._stack.tcmb.bulletins if day >= since]
        for day in lost:
            del self._stack.tcmb.bulletins[day]
        self._lost += lost
        for table in ("rates", "bulletins"):
            self._stack.database.sql(
                f"DELETE FROM aliaport_currency_{table} WHERE day >= '{since}'"
            )

    def catch_up(self) -> None:
        """Publish the missing bulletins, and fetch them by hand as an operator does."""
        self._stack.tcmb.publish(*self._lost)
        done = self._stack.backend.command(
            "aliaport_currency_sync.cli", "backfill", "--from", self._days[0].isoformat()
        )
        assert done.returncode == 0, done.stdout + done.stderr
