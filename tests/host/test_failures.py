"""Descriptions of exceptions, and the lines of source code that are shown."""

import asyncio
import os
import traceback
from pathlib import Path

import pytest

from aliaport.isolation import source_lines
from aliaport.isolation.failures import Failure, describe
from aliaport.isolation.source_lines import MAX_FILE_BYTES, source_line


def caught(error: Exception, cause: Exception | None = None) -> Exception:
    """Return `error` with the traceback of being raised here."""
    try:
        raise error from cause
    except Exception as raised:
        return raised


def described(error: BaseException) -> Failure:
    return describe(error, "tests")


def without_marks(text: str) -> list[str]:
    return [line for line in text.splitlines() if set(line) - set(" ^~")]


def test_a_chain_of_causes_is_printed_as_python_prints_it() -> None:
    error = caught(KeyError("inner"))
    for kind in (ValueError, OSError, RuntimeError):
        error = caught(kind(f"text of {kind.__name__}"), error if kind is OSError else None)
    error.__context__ = caught(LookupError("context"))
    error.__suppress_context__ = False
    error.add_note("a note")
    printed = "".join(traceback.format_exception(error))
    assert without_marks(described(error).traceback) == without_marks(printed)


def test_a_group_is_printed_with_its_exceptions_and_their_causes() -> None:
    inner = ExceptionGroup("inner", [caught(TypeError("first"), OSError("its cause"))])
    text = described(caught(ExceptionGroup("outer", [caught(ValueError("v")), inner]))).traceback
    positions = [
        text.index(part)
        for part in (
            "ExceptionGroup: outer (2 sub-exceptions)\n",
            "- 1 -",
            "  | ValueError: v\n",
            "- 2 -",
            "  | ExceptionGroup: inner (1 sub-exception)\n",
            "    | OSError: its cause\n",
            "direct cause",
            "    | TypeError: first\n",
        )
    ]
    assert positions == sorted(positions)


def test_a_syntax_error_is_printed_with_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("one = 1\ndef (\n")
    with pytest.raises(SyntaxError) as raised:
        compile(file.read_text(), str(file), "exec")
    assert f'  File "{file}", line 2\n    def (\nSyntaxError: ' in described(raised.value).traceback


def test_chains_and_groups_without_end_are_cut() -> None:
    deep: Exception = ValueError("the first")
    for number in range(1_000):
        deep = ExceptionGroup(f"group {number}", [deep] * 50)
    assert described(deep).traceback.count("ExceptionGroup: ") == 30
    chained = ValueError("the first")
    for number in range(1_000):
        following = ValueError(f"number {number}")
        following.__cause__ = chained
        chained = following
    text = described(chained).traceback
    assert text.count("direct cause") == 29
    assert text.endswith("ValueError: number 999\n")


@pytest.mark.parametrize("kind", ["device", "pipe", "large", "binary", "absent", "folder"])
def test_only_source_files_of_bounded_size_are_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / kind
    if kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind != "absent":
        file.write_bytes(b"\xff\n" if kind == "binary" else b"x = 1\n" * MAX_FILE_BYTES)
    assert source_line(str(file), 1) == ""


def test_kept_lines_have_a_bound_and_further_ones_are_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_lines, "_kept_bytes", 0)
    monkeypatch.setattr(source_lines, "MAX_KEPT_BYTES", 10)
    small, large = tmp_path / "small.py", tmp_path / "large.py"
    small.write_text("a = 1\n")
    large.write_text("# a line that is longer than ten bytes\n")
    for _ in range(2):
        assert source_line(str(small), 1) == "a = 1"
        assert source_line(str(large), 1) == "# a line that is longer than ten bytes"
    small.unlink()
    large.unlink()
    assert source_line(str(small), 1) == "a = 1"
    assert source_line(str(large), 1) == ""


async def test_the_loop_of_the_main_thread_reads_no_file(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("a = 1\n")
    assert source_line(str(file), 1) == ""
    assert await asyncio.to_thread(source_line, str(file), 1) == "a = 1"
    assert source_line(str(file), 1) == "a = 1"
    assert (
        source_line(str(file), 2) == source_line(str(file), 99) == source_line(str(file), 0) == ""
    )
