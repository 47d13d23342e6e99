"""The model of Filebeat's filestream input behaves as Filebeat documents, on handmade files."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.elk.filestream import Filestream
from tests.elk.log_files import append, compress, line, messages, new_file, opening

ROTATED = "app.log.20261125T101500Z-3f9c"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return new_file(tmp_path / "app.log", "one", "two")


def on(log: Path, registry: str | None = None) -> Filestream:
    return Filestream([log.with_name("app.log*")], registry)


def test_it_reads_each_line_once_and_continues_where_it_stopped(log: Path) -> None:
    filestream = on(log)
    assert messages(filestream.poll()) == ["one", "two"]
    assert filestream.poll() == []
    append(log, "üç İ")
    assert messages(filestream.poll()) == ["üç İ"]


def test_only_complete_lines_are_read(log: Path) -> None:
    filestream = on(log)
    filestream.poll()
    whole = line("three")
    with log.open("ab") as file:
        file.write(whole[:40])
        file.flush()
        assert filestream.poll() == []
        file.write(whole[40:])
    assert filestream.poll() == [whole.rstrip(b"\n")]


def test_a_file_shorter_than_the_fingerprint_waits(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(line("plugin.loaded"))
    filestream = Filestream([tmp_path / "audit.log*"])
    assert filestream.poll() == [], "Filebeat reads nothing before 1,024 bytes"
    while log.stat().st_size < 1024:
        append(log, "plugin.loaded")
    assert "plugin.loaded" in messages(filestream.poll())


def test_the_opening_line_is_long_enough(tmp_path: Path) -> None:
    assert len(opening()) > 1024
    log = new_file(tmp_path / "audit.log", "plugin.loaded")
    assert messages(Filestream([log]).poll()) == ["plugin.loaded"]


def test_a_renamed_file_is_recognized(log: Path) -> None:
    filestream = on(log)
    filestream.poll()
    append(log, "three")
    log.rename(log.with_name(ROTATED))
    new_file(log, "four")
    assert sorted(messages(filestream.poll())) == ["four", "three"]
    assert filestream.poll() == []


def test_a_compressed_file_continues_where_its_plain_form_stopped(log: Path) -> None:
    filestream = on(log)
    filestream.poll()
    append(log, "three")
    compress(log.rename(log.with_name(ROTATED)))
    assert messages(filestream.poll()) == ["three"]
    assert filestream.poll() == []


def test_both_forms_at_once_are_one_file(log: Path) -> None:
    filestream = on(log)
    rotated = log.rename(log.with_name(ROTATED))
    rotated.with_name(f"{ROTATED}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
    assert messages(filestream.poll()) == ["one", "two"]
    rotated.unlink()
    assert filestream.poll() == []


def test_a_hidden_file_is_not_read(log: Path) -> None:
    log.with_name(f".{ROTATED}.gz.tmp").write_bytes(gzip.compress(opening() + line("half")))
    assert messages(on(log).poll()) == ["one", "two"]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_restart_forgets_nothing(log: Path, compressed: bool) -> None:
    before = on(log)
    before.poll()
    append(log, "three")
    rotated = log.rename(log.with_name(ROTATED))
    if compressed:
        compress(rotated)
    after = on(log, before.dump())
    assert messages(after.poll()) == ["three"]


def test_clean_removed_would_resend_a_file_that_was_compressed_meanwhile(log: Path) -> None:
    before = on(log)
    before.poll()
    compress(log.rename(log.with_name(ROTATED)))
    globs = [log.with_name("app.log*")]
    assert messages(Filestream(globs, before.dump(), clean_removed=True).poll()) == ["one", "two"]
    assert Filestream(globs, before.dump(), clean_removed=False).poll() == []


def test_without_its_registry_it_sends_everything_again(log: Path) -> None:
    on(log).poll()
    assert messages(on(log).poll()) == ["one", "two"]


def test_files_with_the_same_first_bytes_count_as_one(tmp_path: Path) -> None:
    first = opening()
    (tmp_path / "app.log").write_bytes(first + line("one"))
    (tmp_path / "app.log.1").write_bytes(first + line("two") + line("three"))
    assert messages(Filestream([tmp_path / "app.log*"]).poll()) == ["one"], (
        "two files with one opening line: the second is never read"
    )


def test_files_that_differ_in_their_opening_line_are_two(tmp_path: Path) -> None:
    new_file(tmp_path / "app.log", "one")
    new_file(tmp_path / "app.log.1", "two")
    assert messages(Filestream([tmp_path / "app.log*"]).poll()) == ["one", "two"]


def test_truncation_is_noticed(log: Path) -> None:
    filestream = on(log)
    filestream.poll()
    content = log.read_bytes()
    log.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    assert messages(filestream.poll()) == ["one"]
    assert filestream.truncated == [str(log)]


def test_nothing_is_lost_or_duplicated_while_files_are_rotated_and_compressed(log: Path) -> None:
    wanted = ["one", "two", *(f"event-{n}" for n in range(2000))]

    def write() -> None:
        rotated: Path | None = None
        for count, message in enumerate(wanted[2:], 1):
            append(log, message)
            if count % 100 == 0:
                if rotated:
                    compress(rotated)
                rotated = log.rename(log.with_name(f"app.log.20261125T101500Z-{count:04}"))
                new_file(log)

    filestream = on(log)
    read: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            read += messages(filestream.poll())
        writing.result(timeout=60)
    read += messages(filestream.poll())
    assert sorted(read) == sorted(wanted)
    assert filestream.truncated == filestream.damaged == []


@pytest.mark.parametrize("keep", [10, 0.6])
def test_a_broken_archive_is_reported(tmp_path: Path, keep: float) -> None:
    new_file(tmp_path / "app.log", *(f"event-{n}" for n in range(2000)))
    archive = compress(tmp_path / "app.log")
    data = archive.read_bytes()
    archive.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    filestream = Filestream([tmp_path / "app.log*"])
    read = messages(filestream.poll())
    assert read == [f"event-{n}" for n in range(len(read))]
    assert filestream.damaged == [str(archive)]
