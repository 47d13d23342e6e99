"""Tests of how text is folded, sorted, masked, and normalized as a plate."""

import unicodedata
from itertools import pairwise

import pytest
from aliaport_operations.folding import fold, prefix_query, sort_key, words
from aliaport_operations.gate_fields import normalize_plate
from aliaport_operations.text import masked
from hypothesis import given
from hypothesis import strategies as st

ALPHABET = "abcçdefgğhıijklmnoöprsştuüvyz"
"""The Turkish alphabet, in order."""

CAPITALS = "ABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZ"
MAX_BTREE_ROW = 2_704
"""Bytes of a B-tree row; PostgreSQL refuses to write a row with a longer key."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
turkish = st.text(ALPHABET + CAPITALS + " ", max_size=20)
lower_words = st.text(ALPHABET, max_size=12)


def capitals(text: str) -> str:
    return text.translate(str.maketrans(ALPHABET, CAPITALS))


def plain(text: str) -> str:
    return text.translate(str.maketrans("çğıöşü", "cgiosu"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ISPARTA", "ısparta"),
        ("Isparta", "isparta"),
        ("İZMİR", "izmir"),
        ("İzmir", "IZMIR"),
        ("ŞIRNAK", "sirnak"),
        ("Çelik", "CELIK"),
        ("ÇELİK", "celik"),
        ("Âli", "ali"),
        ("İğdır", "igdir"),
        ("GÜMÜŞHANE", "gumushane"),
        ("Straße", "STRASSE"),
        ("Ｌｉｍａｎ ３４", "liman 34"),
    ],
)
def test_spellings_of_one_word_fold_to_the_same_text(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(lower_words)
def test_turkish_words_fold_alike_in_capitals_and_without_accents(word: str) -> None:
    assert fold(word) == fold(capitals(word)) == fold(plain(word)) == plain(word)


@given(texts)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(texts)
def test_composed_and_decomposed_accents_fold_alike(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert len({fold(form) for form in forms}) == 1
    assert len({sort_key(form) for form in forms}) == 1
    assert len({tuple(words(form)) for form in forms}) == 1


@given(texts, texts)
def test_words_are_distinct_sorted_and_no_longer_than_a_lexeme(one: str, other: str) -> None:
    found = words(one, other)
    assert found == sorted(set(found))
    assert all(fold(word) == word and word.isalnum() for word in found)
    assert all(len(word.encode()) < 2_046 for word in found), "too long for a tsvector"


def test_the_words_of_a_title_of_one_long_word_are_valid_in_a_tsvector() -> None:
    assert sorted(len(word) for word in words("㌀" * 200)) == [300, 500]


def test_words_break_at_everything_but_letters_and_digits() -> None:
    assert words("T-0001.A_B", "Işık & Çelik A.Ş. (No:5)") == [
        *("0001", "5", "a", "b", "celik", "isik", "no", "s", "t")
    ]


@given(texts)
def test_a_query_contains_only_quoted_words_and_its_own_operators(text: str) -> None:
    query = prefix_query(text)
    if query is None:
        assert words(text) == []
        return
    for part in query.split(" & "):
        assert part.startswith("'")
        assert part.endswith("':*")
        assert part[1:-3].isalnum()


@pytest.mark.parametrize("text", ["", " ", "...", "' & | ! <-> :* ( ) \\ \"", "___", "\u0301", "—"])
def test_a_query_without_words_is_none(text: str) -> None:
    assert prefix_query(text) is None


def test_each_letter_sorts_after_all_words_with_the_previous_letter() -> None:
    for before, after in pairwise(ALPHABET):
        assert sort_key(before + "zzz") < sort_key(after)
        assert sort_key(before.join("aa")) < sort_key(after.join("aa"))


@given(st.lists(turkish, max_size=20))
def test_titles_sort_as_in_the_turkish_alphabet(titles: list[str]) -> None:
    lower = str.maketrans(CAPITALS, ALPHABET)

    def places(title: str) -> list[int]:
        return [f" {ALPHABET}".index(letter) for letter in title.translate(lower)]

    by_key = sorted(titles, key=lambda title: sort_key(title).encode())
    assert list(map(places, by_key)) == sorted(map(places, titles))


@given(lower_words)
def test_capitals_do_not_matter_for_the_order(word: str) -> None:
    assert sort_key(capitals(word)) == sort_key(word)


def test_other_accents_sort_with_their_letter_and_digits_before_letters() -> None:
    assert sort_key("Âli") == sort_key("ali")
    assert sort_key("9 Eylül") < sort_key("Ankara")
    assert sort_key("Ankara 2") < sort_key("Ankaralı")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_the_key_of_any_title_fits_into_an_index_row(text: str) -> None:
    assert len(sort_key(text).encode()) < MAX_BTREE_ROW - 100


@pytest.mark.parametrize("title", ["ﷺ" * 200, "㌖" * 200, "㈝" * 200, "𝕬" * 200, "ş" * 200])
def test_the_key_of_the_longest_folded_titles_fits_into_a_row_and_a_cursor(title: str) -> None:
    # A cursor has at most 2,000 characters: 1,500 bytes with the row's ID.
    assert len(sort_key(title).encode()) <= 1_400


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("34 ABC 123", "34ABC123"),
        ("34-abc-123", "34ABC123"),
        (" 34.abc_123/ ", "34ABC123"),
        ("34\u00a0abc\u2003123", "34ABC123"),
        ("34 iğı 12", "34IGI12"),
        ("34 İĞI 12", "34IGI12"),
        ("B-AB 1234", "BAB1234"),
        ("３４ＡＢＣ１２３", "34ABC123"),
        ("ab", "AB"),
        ("A" * 15, "A" * 15),
    ],
)
def test_plates_are_normalized(written: str, kept: str) -> None:
    assert normalize_plate(written) == kept


@pytest.mark.parametrize(
    "written", ["", "3", "- -", "A" * 16, "34 ABC 1'3", "34АВС12", "34ABC\x00"]
)
def test_an_invalid_plate_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="must be 2 to 15 letters and digits"):
        normalize_plate(written)


@given(texts)
def test_a_normalized_plate_satisfies_the_database_and_is_stable(text: str) -> None:
    try:
        plate = normalize_plate(text)
    except ValueError:
        return
    assert plate.isascii()
    assert plate.isalnum()
    assert plate == plate.upper() == normalize_plate(plate)
    assert 2 <= len(plate) <= 15


@given(st.text(max_size=40), st.integers(0, 3), st.integers(0, 3))
def test_a_mask_hides_the_length_and_all_but_the_ends(text: str, first: int, last: int) -> None:
    shown = masked(text, first=first, last=last)
    assert shown is not None
    if len(text) <= first + last:
        assert shown == "***"
    else:
        assert shown == text[:first] + "***" + text[len(text) - last :]


def test_none_is_not_masked() -> None:
    assert masked(None, first=2) is None
