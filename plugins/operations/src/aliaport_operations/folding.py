"""Turkish text as one searches and sorts it, without any help from the database's locale."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]{1,500}")
"""In pieces of at most 2,000 bytes: a longer one would spoil the whole row's tsvector."""
_LONGEST_KEY = 350
"""Characters, so that it fits into an index and a cursor: some ligatures fold to 18 of them."""
_AFTER = {"ç": "c~", "ğ": "g~", "ı": "h~", "ö": "o~", "ş": "s~", "ü": "u~"}
"""`~` follows all letters and digits in the order of bytes: ç comes after cz and before d."""


def fold(text: str) -> str:
    """Return `text` without case and accents, and with one letter i for the dotted and the dotless.

    Whoever types ISPARTA, Isparta, ısparta or isparta means the same town.
    """
    text = unicodedata.normalize("NFKD", text).casefold().replace("ı", "i")
    text = unicodedata.normalize("NFKD", text)
    return "".join(each for each in text if not unicodedata.combining(each))


def words(*texts: str) -> list[str]:
    """The folded words of the texts, each once, in order of bytes: an account's column `words`."""
    return sorted({word for text in texts for word in _WORD.findall(fold(text))})


def prefix_query(text: str) -> str | None:
    """A tsquery that is true where each word of `text` begins a word; None where it has none."""
    return " & ".join(f"'{word}':*" for word in words(text)) or None


def sort_key(text: str) -> str:
    """What sorts by its bytes as `text` does in the Turkish alphabet."""
    text = unicodedata.normalize("NFC", text).replace("I", "ı").replace("İ", "i").lower()
    return "".join(_AFTER.get(each) or fold(each) for each in text)[:_LONGEST_KEY]
