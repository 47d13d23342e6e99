"""Only regular files are opened where somebody else may have put something."""

import os
from pathlib import Path

import pytest

from aliaport.regular_files import open_regular, read_regular

FLAGS = os.O_RDWR | os.O_CREAT


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "hard link"])
def test_anything_but_a_file_of_ours_is_refused(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "target", tmp_path / "path"
    if kind != "dangling link":
        target.write_text("kept")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "hard link":
        path.hardlink_to(target)
    else:
        path.symlink_to(target)
    with pytest.raises(OSError, match=r"it (is|belongs) .*; delete it"):
        open_regular(path, FLAGS, private=True)
    if kind == "dangling link":
        assert not target.exists()


def test_a_file_is_created_with_its_mode_and_not_inherited(tmp_path: Path) -> None:
    fd = open_regular(tmp_path / "new", FLAGS, 0o640)
    assert os.fstat(fd).st_mode & 0o777 & ~0o640 == 0
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_reading_follows_links_and_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_bytes(b"x" * 100)
    link = tmp_path / "secret"
    link.symlink_to("mounted")
    assert read_regular(link, 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than 99 bytes"):
        read_regular(link, 99)
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(Path("/dev/zero"), 99)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "fifo", 99)
