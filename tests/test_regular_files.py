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


def test_a_hard_link_that_another_user_can_have_made_is_refused(tmp_path: Path) -> None:
    target, folder = tmp_path / "target", tmp_path / "folder"
    folder.mkdir(mode=0o700)
    target.write_text("kept")
    path = folder / "path"
    path.hardlink_to(target)
    os.close(open_regular(path, FLAGS))  # a backup of ours
    for mode in (0o770, 0o777, 0o1777):
        folder.chmod(mode)
        with pytest.raises(OSError, match="is a hard link to another file; delete it"):
            open_regular(path, FLAGS)
    target.unlink()
    os.close(open_regular(path, FLAGS))


@pytest.mark.needs("root")
@pytest.mark.parametrize("others", ["target", "folder"])
def test_a_hard_link_to_a_file_or_in_a_folder_of_another_user_is_refused(
    tmp_path: Path, others: str
) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "folder/path").hardlink_to(tmp_path / "target")
    os.chown(tmp_path / others, 54321, 54321)
    with pytest.raises(OSError, match="is a hard link to another file; delete it"):
        open_regular(tmp_path / "folder/path", os.O_RDONLY)


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
