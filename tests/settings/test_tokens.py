"""One rule for bearer tokens, from a variable or a file."""

from pathlib import Path

import pytest

from aliaport.errors import ConfigError
from aliaport.settings import core_settings, read_sources, token_file_problems
from aliaport.settings.tokens import read_token_file

GOOD, SHORT = "a-token-of-16-ch", "a-short-token-x"


def problems(variables: dict[str, str], config: Path | None = None) -> str:
    sources = read_sources({"ENVIRONMENT": "production", **variables}, config)
    return "\n".join(token_file_problems(core_settings(sources), sources))


def test_comments_and_blank_lines_are_not_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# written by hand, 2026-11-30\n\n  {GOOD}  \r\n\t# {SHORT}\nanother-{GOOD}")
    found = read_token_file(file)
    assert found.tokens == (GOOD, f"another-{GOOD}")
    assert found.problems == ()


@pytest.mark.parametrize("ending", ["\n", "\r\n", "  \n", "\t\r\n", ""])
def test_a_byte_order_mark_and_blanks_are_not_part_of_a_token(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(f"\ufeff{GOOD}{ending}".encode())
    assert read_token_file(file).tokens == (GOOD,)
    # Two such files, one after the other.
    file.write_bytes(f"\ufeff{GOOD}\n\ufeff# of {SHORT}\n\ufeffanother-{GOOD}{ending}".encode())
    found = read_token_file(file)
    assert (found.tokens, found.problems) == ((GOOD, f"another-{GOOD}"), ())


def test_a_token_with_an_invisible_character_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{GOOD}\u200b\n")
    assert "line 1: a token must not have invisible characters" in problems(
        {"ALIAPORT_STATUS_TOKEN_FILE": str(file)}
    )
    with pytest.raises(ConfigError, match="must not have invisible characters"):
        problems({"ALIAPORT_STATUS_TOKEN": f"\ufeff{GOOD}"})


def test_a_short_token_is_refused_wherever_it_is_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# first\n{GOOD}\n{SHORT}\na\n")
    config = tmp_path / "aliaport.toml"
    config.write_text(f'status_token_file = "{file}"\n')
    in_file = problems({"ALIAPORT_STATUS_TOKEN_FILE": str(file)})
    assert f"ALIAPORT_STATUS_TOKEN_FILE: {file}: line 3: a token must have at least 16" in in_file
    assert f"{file}: line 4: a token must" in in_file
    in_toml = problems({}, config)
    assert f"{config}: status_token_file: {file}: line 3: a token must" in in_toml
    with pytest.raises(ConfigError, match="a token must have at least 16 characters") as raised:
        problems({"ALIAPORT_STATUS_TOKEN": SHORT})
    in_variable = str(raised.value)
    for text in (in_file, in_toml, in_variable):
        assert SHORT not in text
        assert GOOD not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "contains no token; write one per line"),
        (b"# only a comment\n", "contains no token"),
        (b"\xff\xfe" + GOOD.encode("utf-16-le"), "is not UTF-8 text"),
        (GOOD.encode() * 5_000, "is larger than 64,000 bytes"),
    ],
)
def test_a_file_without_usable_tokens_is_a_problem(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    assert reason in problems({"ALIAPORT_STATUS_TOKEN_FILE": str(file)})
    # A token in place of the path of its file.
    assert GOOD not in problems({"ALIAPORT_STATUS_TOKEN_FILE": GOOD})
    # Where everything is open, nothing reads the file.
    named = {"ALIAPORT_STATUS_TOKEN_FILE": str(file), "ENVIRONMENT": "development"}
    assert not problems(named)
