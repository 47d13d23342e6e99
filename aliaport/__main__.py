"""Starts the `aliaport` command: prepares the process before the slow imports."""

import contextlib
import sys

from aliaport.errors import AliaportError
from aliaport.process.early_signals import exit_on_stop_signals, ignore_reopening
from aliaport.process.standard_streams import discard_unwritable, open_missing


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["serve"]:
        ignore_reopening()
    open_missing()
    if sys.argv[1:2] == ["healthcheck"]:  # it must not take a second
        from aliaport.healthcheck import main as check_health

        sys.exit(check_health(sys.argv[2:]))
    from aliaport.process.limits import check_limits, limit_error
    from aliaport.process.memory import limit_gaps

    try:
        with exit_on_stop_signals():
            check_limits()
            limit_gaps()
            from aliaport.cli import main as run
        run()
    except AliaportError as error:
        _fail(error)
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        named = limit_error(error)
        if named is None:
            raise
        _fail(named)


def _fail(error: AliaportError) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"aliaport: {error}\n")
    discard_unwritable()
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
