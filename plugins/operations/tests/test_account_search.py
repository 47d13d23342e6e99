"""Tests of the account search: Turkish folding, untrusted queries, and use of its index."""

import time
import uuid
from collections.abc import Iterator
from random import Random

import pytest

from tests.support.operations import CARI, Operations, serve
from tests.support.postgres import TcpPostgres
from tests.support.waiting import wait_until

SEEDED = 5_000
ALPHABET = "abcçdefgğhıijklmnoöprsştuüvyz"
SCANS = """
SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes
WHERE indexrelname = 'aliaport_operations_accounts_words'"""
SEQUENTIAL = """
SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'aliaport_operations_accounts'"""


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    with serve(server, tmp_path_factory.mktemp("search") / "run") as operations:
        size = ("--accounts", str(SEEDED), "--orders", "0", "--gate-logs", "0")
        done = operations.invoke("seed", *size)
        assert done.returncode == 0, done.stderr
        yield operations


def marked(api: Operations, *titles: str) -> str:
    """Create accounts with these titles, and return a word that only they contain."""
    mark = f"w{uuid.uuid4().hex}"
    for title in titles:
        api.account(title=f"{title} {mark}")
    return mark


def found(api: Operations, query: str, **options: str) -> list[str]:
    """Return the titles that a search finds, without the mark, which is their last word."""
    page = api.data("GET", CARI, q=query, limit=200, **options)
    assert page["next"] is None
    return [account["title"].rpartition(" ")[0] for account in page["items"]]


@pytest.mark.parametrize(
    ("title", "queries"),
    [
        ("ISPARTA", ["ISPARTA", "ısparta", "Isparta", "isparta", "İsparta", "ispar"]),
        ("Isparta", ["ISPARTA", "ısparta", "Isparta", "isparta"]),
        ("İZMİR", ["İZMİR", "izmir", "İzmir", "IZMIR", "ızmır", "i̇zmi̇r"]),
        ("şırnak", ["ŞIRNAK", "Şırnak", "sirnak", "SIRNAK", "Şİrnak"]),
        ("Çelik", ["CELIK", "çelik", "ÇELİK", "celi", "C\u0327elik"]),
        ("Âli", ["ali", "ALİ", "âli", "A\u0302li"]),
        ("G\u006f\u0308lc\u0075\u0308k", ["Gölcük", "golcuk", "GÖLCÜK"]),
        ("Cafe\u0301", ["cafe", "CAFÉ"]),
        ("Straße", ["strasse", "STRASSE"]),
    ],
)
def test_case_accents_and_the_dot_of_i_do_not_matter(
    api: Operations, title: str, queries: list[str]
) -> None:
    mark = marked(api, title)
    for query in queries:
        assert len(found(api, f"{query} {mark}")) == 1, query


def test_words_and_their_beginnings_are_found_in_any_order(api: Operations) -> None:
    mark = marked(api, "Kuzey Işık Lojistik", "Kuzey Rüzgar Lojistik")
    assert len(found(api, f"kuzey {mark}")) == 2
    assert found(api, f"{mark} loj ışı kuz") == ["Kuzey Işık Lojistik"]
    assert found(api, f"rüz, {mark[:20]}! KUZEY") == ["Kuzey Rüzgar Lojistik"]
    assert found(api, f"lojistik batı {mark}") == []


def test_text_inside_a_word_is_not_found(api: Operations) -> None:
    mark = marked(api, "Isparta")
    for query in ("parta", "sparta", "art", "ispartaa"):
        assert found(api, f"{query} {mark}") == [], query
    assert found(api, mark[1:]) == []


def test_parts_of_a_code_are_found(api: Operations) -> None:
    part = uuid.uuid4().hex[:12].upper()
    created = api.account(code=f"KOD.{part}-7_X")
    for query in (
        created["code"],
        created["code"].lower(),
        part,
        part.lower()[:8],
        f"7 {part} kod x",
    ):
        items = api.data("GET", CARI, q=query)["items"]
        assert [account["id"] for account in items] == [created["id"]], query


@pytest.mark.parametrize("query", ["", " ", "...", "'", "___", "\u0301", "\0", "—", "&|!", "<->"])
def test_a_query_without_words_finds_nothing(api: Operations, query: str) -> None:
    assert api.data("GET", CARI, q=query) == {"items": [], "next": None}


@pytest.mark.parametrize(
    "noise",
    [
        *("'", "''", "' | '", " & ", " | ", " ! ", " <-> ", ":*", ":ABCD", "\\", "\\'", "(", ")"),
        *("%", "_", '"', "$1", "{}", "{0}", "--", "/*", ";", "\0", "' OR true --", "\ufdfa", "😀"),
    ],
)
def test_operators_and_quotes_are_harmless(api: Operations, noise: str) -> None:
    mark = marked(api, "Deneme")
    words = [word for word in ("or", "true", "abcd", "1", "0") if word in noise.lower()]
    for query in (f"{noise}{mark}", f"{mark}{noise}", f"{noise} {mark} {noise} deneme"):
        response = api.get(CARI, q=query)
        assert response.status == 200, response.text
        if not words and noise != "\ufdfa":
            titles = [account["title"] for account in response.json["data"]["items"]]
            assert titles == [f"Deneme {mark}"], query


def test_random_queries_never_fail(api: Operations) -> None:
    rng = Random(7)
    alphabet = "ab ıİ'\"\\&|!()<->:*%_\0\u0301ﷺ㌀😀ß\ud7ff\ue000\U0010ffff"
    for _ in range(200):
        query = "".join(rng.choices(alphabet, k=rng.randrange(100)))
        response = api.get(CARI, q=query, limit=1)
        assert response.status == 200, (query, response.text)


def test_a_query_has_at_most_100_characters(api: Operations) -> None:
    assert api.data("GET", CARI, q="ş" * 100)["items"] == []
    assert api.data("GET", CARI, q="ﷺ" * 100)["items"] == []
    error = api.refused(422, "GET", CARI, q="ş" * 101)
    assert [field["path"] for field in error["fields"]] == ["query.q"]


def test_a_title_of_one_long_word_is_found_by_its_beginning(api: Operations) -> None:
    for letter in ("İ", "㌀", "漢"):
        created = api.account(title=letter * 200)
        for length in (2, 25, 100):
            items = api.data("GET", CARI, q=letter * length, limit=200)["items"]
            assert created["id"] in {account["id"] for account in items}, (letter, length)
        assert api.data("GET", CARI, q=f"{letter * 99}x")["items"] == []


def test_titles_sort_by_the_turkish_alphabet(api: Operations) -> None:
    words = [f"{letter}a" for letter in ALPHABET] + ["cz", "Çb", "hz", "Iz", "İb", "sz", "Şb"]
    Random(3).shuffle(words)
    mark = marked(api, *words)
    small = str.maketrans("ÇIİŞ", "çıiş")
    wanted = sorted(words, key=lambda word: [ALPHABET.index(x) for x in word.translate(small)])
    assert found(api, mark, sort="title") == wanted


def scans_so_far(api: Operations) -> int:
    """Return how often the whole table was read. A connection reports it with a later request."""
    seen = [(int(api.sql(SEQUENTIAL)), time.monotonic())]

    def is_settled() -> bool:
        api.get("/auth/me")
        now = int(api.sql(SEQUENTIAL))
        if now != seen[-1][0]:
            seen.append((now, time.monotonic()))
        return time.monotonic() - seen[-1][1] > 1.5

    wait_until(is_settled, "every connection has reported its scans", 30)
    return seen[-1][0]


def test_a_search_among_many_accounts_uses_its_index(api: Operations) -> None:
    before, sequential = int(api.sql(SCANS)), scans_so_far(api)

    def counted() -> bool:
        # A connection reports its counts with a request some time after the one that it counts.
        assert len(api.data("GET", CARI, q="isken nakl")["items"]) > 0
        return int(api.sql(SCANS)) > before

    wait_until(counted, "a scan of the index of words is counted", 30)
    assert int(api.sql(SEQUENTIAL)) == sequential, "the whole table was read"


def test_seeded_accounts_are_found_by_their_words(api: Operations) -> None:
    of_town = int(
        api.sql(
            "SELECT count(*) FROM aliaport_operations_accounts "
            "WHERE title LIKE 'Çanakkale %' AND title LIKE '% Çelik %'"
        )
    )
    assert of_town > 0
    seen = 0
    after: dict[str, str] = {}
    while True:
        page = api.data("GET", CARI, q="CANAKKALE celik", limit=10, **after)
        seen += len(page["items"])
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == of_town
