"""The cgroup of the process, found in recorded trees of every kind and on this machine."""

import os
from pathlib import Path

import pytest

from aliaport.cgroup import Cgroup, own_cgroup, read_lines, read_number, read_table, read_text

V2 = "29 23 0:26 {top} /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = "35 31 0:32 {top} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V1_CPU = "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
OTHER = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"


def recorded(root: Path, cgroup: str, mountinfo: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text(OTHER + mountinfo)
    return root


def levels(found: Cgroup | None, root: Path) -> list[str]:
    assert found is not None, "no cgroup was found"
    return [str(level.relative_to(root)) for level in found.levels]


def test_version_2_of_a_service_unit_goes_up_to_the_mount(tmp_path: Path) -> None:
    recorded(tmp_path, "0::/system.slice/aliaport.service\n", V2.format(top="/"))
    found = own_cgroup("memory", tmp_path)
    assert found is not None
    assert found.version == 2
    assert levels(found, tmp_path) == [
        "sys/fs/cgroup/system.slice/aliaport.service",
        "sys/fs/cgroup/system.slice",
        "sys/fs/cgroup",
    ]


def test_version_2_in_a_container_with_its_own_namespace_is_the_mount_itself(
    tmp_path: Path,
) -> None:
    recorded(tmp_path, "0::/\n", V2.format(top="/"))
    assert levels(own_cgroup("cpu", tmp_path), tmp_path) == ["sys/fs/cgroup"]


def test_version_1_in_a_container_strips_the_part_outside_of_the_mount(tmp_path: Path) -> None:
    recorded(
        tmp_path,
        "5:memory:/docker/4f2a/inner\n4:cpu,cpuacct:/docker/4f2a\n",
        V1.format(top="/docker/4f2a") + V1_CPU.format(top="/docker/4f2a"),
    )
    memory = own_cgroup("memory", tmp_path)
    assert memory is not None
    assert memory.version == 1
    assert levels(memory, tmp_path) == ["sys/fs/cgroup/memory/inner", "sys/fs/cgroup/memory"]
    for controller in ("cpu", "cpuacct"):
        assert levels(own_cgroup(controller, tmp_path), tmp_path) == ["sys/fs/cgroup/cpu,cpuacct"]


def test_hybrid_mode_prefers_the_version_with_the_controller(tmp_path: Path) -> None:
    recorded(
        tmp_path,
        "4:memory:/a\n1:name=systemd:/b\n0::/c\n",
        V1.format(top="/") + V2.format(top="/").replace("/sys/fs/cgroup ", "/unified "),
    )
    memory, cpu = own_cgroup("memory", tmp_path), own_cgroup("cpu", tmp_path)
    assert memory is not None
    assert (memory.version, memory.levels[0].name) == (1, "a")
    assert cpu is not None
    assert (cpu.version, cpu.levels[0].name) == (2, "c")


def test_escaped_names_of_systemd_units_match(tmp_path: Path) -> None:
    unit = "/system.slice/my\\x2dapp.service"
    recorded(tmp_path, f"0::{unit}/inner\n", V2.format(top=unit.replace("\\", "\\134")))
    assert levels(own_cgroup("cpu", tmp_path), tmp_path) == [
        "sys/fs/cgroup/inner",
        "sys/fs/cgroup",
    ]


@pytest.mark.parametrize("path", ["/../../host/own", "/elsewhere"])
def test_a_path_outside_of_the_mount_falls_back_to_the_mount(tmp_path: Path, path: str) -> None:
    recorded(tmp_path, f"0::{path}\n", V2.format(top="/docker/4f2a"))
    assert levels(own_cgroup("memory", tmp_path), tmp_path) == ["sys/fs/cgroup"]


def test_of_several_mounts_the_one_with_the_most_ancestors_is_used(tmp_path: Path) -> None:
    inner = V2.format(top="/a").replace("/sys/fs/cgroup ", "/inner ")
    recorded(tmp_path, "0::/a/b\n", inner + V2.format(top="/") + inner.replace("/inner", "/again"))
    found = own_cgroup("memory", tmp_path)
    assert levels(found, tmp_path)[0] == "sys/fs/cgroup/a/b"
    assert len(levels(found, tmp_path)) == 3


@pytest.mark.parametrize(
    ("cgroup", "mountinfo"),
    [
        ("", ""),
        ("0::/\n", ""),
        ("4:memory:/\n", V2.format(top="/")),
        ("0::/\n", "- -\n \n"),
        ("nonsense\n", ""),
    ],
)
def test_without_a_hierarchy_there_is_no_cgroup(
    tmp_path: Path, cgroup: str, mountinfo: str
) -> None:
    assert own_cgroup("memory", recorded(tmp_path, cgroup, mountinfo)) is None


def test_without_proc_there_is_no_cgroup(tmp_path: Path) -> None:
    assert own_cgroup("memory", tmp_path) is None


def test_readers_tolerate_missing_and_odd_kernel_files(tmp_path: Path) -> None:
    missing = tmp_path / "gone/memory.max"
    assert (read_text(missing), read_number(missing), read_table(missing)) == ("", None, {})
    assert read_text(tmp_path) == "", "a folder cannot be read as a file"
    (tmp_path / "max").write_text("max\n")
    assert read_number(tmp_path / "max") is None
    (tmp_path / "number").write_text("9223372036854771712\n")
    assert read_number(tmp_path / "number") == 9223372036854771712
    (tmp_path / "stat").write_bytes(b"anon 12\nbroken\n\xff 1\ninactive_file 34\nlow max\n")
    table = read_table(tmp_path / "stat")
    assert (table["anon"], table["inactive_file"], "low" in table) == (12, 34, False)


def test_the_cgroup_of_this_process_exists_if_it_is_in_one() -> None:
    if not read_text(Path("/proc/self/cgroup")):
        assert own_cgroup("memory") is None
        return
    found = own_cgroup("memory")
    if found is not None:
        assert found.levels[-1] == found.mount
        assert found.mount.is_dir(), f"{found.mount} should be a mounted hierarchy"


@pytest.mark.parametrize("character", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\udcff"])
def test_only_lf_ends_a_line(tmp_path: Path, character: str) -> None:
    """The kernel allows every character but LF in the name of a cgroup."""
    name = f"/app{character}x"
    mountinfo = V2.format(top="/").replace("/sys/fs/cgroup ", f"/sys{character}/cgroup ")
    recorded(tmp_path, "", "")
    (tmp_path / "proc/self/cgroup").write_bytes(os.fsencode(f"0::{name}\n"))
    (tmp_path / "proc/self/mountinfo").write_bytes(os.fsencode(OTHER + mountinfo))
    expected = [f"sys{character}/cgroup{name}", f"sys{character}/cgroup"]
    assert levels(own_cgroup("memory", tmp_path), tmp_path) == expected


def test_lines_of_a_file_without_a_last_lf_or_without_any(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content, lines in (
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\r\n\nb\n", ["a\r", "", "b"]),
    ):
        file.write_text(content, newline="")
        assert read_lines(file) == lines
    assert read_lines(tmp_path / "missing") == []
