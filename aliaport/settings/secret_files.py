"""Names of files with secrets in messages."""

from pathlib import Path

HIDDEN = "(not shown, since it may be the secret itself)"


def shown_path(file: str | Path) -> str:
    """Return the path for a message, unless somebody may have set the secret instead of a path."""
    path = Path(file)
    try:
        is_path = path.is_absolute() or path.exists()
    except OSError:  # longer than any name
        is_path = False
    return str(path) if is_path else HIDDEN
