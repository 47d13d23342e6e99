"""Makes text of others safe to write: to JSON, to files and to terminals."""


def plain_text(text: str) -> str:
    """Return `text` as valid UTF-8: lone surrogates become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def escape_unprintable(text: str, keep: str = "") -> str:
    """Return `text` with escapes such as `\\x1b` for all that is not printable and not in `keep`.

    That includes control characters, every kind of line end, and marks that reverse the text.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode()
        for character in text
    )
