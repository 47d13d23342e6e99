"""Folding of Turkish text for search and sorting, independent of the database's locale."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]{1,500}")
"""Split into pieces of at most 2,000 bytes: a tsvector with a longer word is rejected."""
_MAX_KEY = 350
"""In characters; some ligatures fold to 18, and an index row and a cursor must hold the key."""
_AFTER = {"ç": "c~", "ğ": "g~", "ı": "h~", "ö": "o~", "ş": "s~", "ü": "u~"}
"""`~` sorts after all letters and digits, so that ç comes after cz and before d."""


def fold(text: str) -> str:
    """Return `text` without case and accents, with dotted and dotless i folded into one letter.

    ISPARTA, Isparta, ısparta and isparta become the same text.
    """
    text = unicodedata.normalize("NFKD", text).casefold().replace("ı", "i")
    text = unicodedata.normalize("NFKD", text)
    return "".join(char for char in text if not unicodedata.combining(char))


def words(*texts: str) -> list[str]:
    """Return the distinct folded words, sorted by their bytes, as in an account's `words`."""
    return sorted({word for text in texts for word in _WORD.findall(fold(text))})


def prefix_query(text: str) -> str | None:
    """Return a tsquery for rows with words that begin with those of `text`, or None."""
    return " & ".join(f"'{word}':*" for word in words(text)) or None


def sort_key(text: str) -> str:
    """Return a key whose byte order is the order of `text` in the Turkish alphabet."""
    text = unicodedata.normalize("NFC", text).replace("I", "ı").replace("İ", "i").lower()
    return "".join(_AFTER.get(char) or fold(char) for char in text)[:_MAX_KEY]
