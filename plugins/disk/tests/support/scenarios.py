"""Scenarios on real file systems, printed as JSON; run them in a separate mount namespace.

unshare --mount --propagation private python -m plugins.disk.tests.support.scenarios NAME FOLDER
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aliaport_disk.config import probe_names
from aliaport_disk.plugin import DiskPlugin

from aliaport.testing import run_plugin
from plugins.disk.tests.support.fuse import hung_mount, reporting_mount
from tests.support.service import running
from tests.support.waiting import wait_until

Story = dict[str, Any]


def command(*words: str | Path) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def as_story(result: Any) -> Story:
    return {
        "status": str(result.status),
        "code": result.code,
        "summary": result.summary,
        "data": dict(result.data),
    }


def fill(file: Path) -> int:
    """Write until the file system fails; return the errno."""
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(b"x" * 4096)
        except OSError as error:
            return error.errno or 0


def full(folder: Path) -> Story:
    """On a tmpfs of 1 MiB and 64 inodes, fill the space, free it, then use up the inodes."""
    command("mount", "-t", "tmpfs", "-o", "size=1M,nr_inodes=64", "none", folder)
    name = probe_names((str(folder),))[str(folder)]
    story: Story = {}
    with run_plugin(DiskPlugin, {"mounts": [str(folder)]}) as plugin:
        story["empty"] = as_story(plugin.probe(name))
        (folder / "large").write_bytes(b"x" * 900_000)
        story["low"] = as_story(plugin.probe(name))
        story["df"] = command("df", "--output=used,avail", "-B1", folder).splitlines()[1].split()
        story["errno"] = fill(folder / "rest")
        story["full"] = as_story(plugin.probe(name))
        (folder / "rest").unlink()
        (folder / "large").unlink()
        story["emptied"] = as_story(plugin.probe(name))
        for number in range(63):
            (folder / str(number)).touch()
        story["no_inodes"] = as_story(plugin.probe(name))
    return story


def read_only(folder: Path) -> Story:
    """Remount read-only and back while the plugin runs; then remove the mount."""
    command("mount", "-t", "tmpfs", "-o", "size=1M", "none", folder)
    name = probe_names((str(folder),))[str(folder)]
    story: Story = {}
    with run_plugin(DiskPlugin, {"mounts": [str(folder)]}) as plugin:
        for step, options in (("rw", None), ("ro", "remount,ro"), ("back", "remount,rw")):
            if options:
                command("mount", "-o", options, folder)
            story[step] = as_story(plugin.probe(name))
            story[f"{step}_samples"] = {s.metric: s.value for s in plugin.collect()}
        command("umount", folder)
        story["unmounted"] = as_story(plugin.probe(name))
        story["unmounted_samples"] = len(plugin.collect())
        folder.rmdir()
        story["removed"] = as_story(plugin.probe(name))
    return story


def failing_ext4(folder: Path) -> Story:
    """Make an ext4 fail as on a dying disk (`errors=remount-ro`)."""
    image, mount = folder / "image", folder / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    command("mkfs.ext4", "-q", "-e", "remount-ro", image)
    command("mount", "-o", "loop", image, mount)
    try:
        name = probe_names((str(mount),))[str(mount)]
        story: Story = {}
        with run_plugin(DiskPlugin, {"mounts": [str(mount)]}) as plugin:
            story["before"] = as_story(plugin.probe(name))
            device = Path(command("findmnt", "-n", "-o", "SOURCE", mount).strip()).name
            Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("a test")
            try:
                (mount / "file").touch()
                story["write_error"] = None
            except OSError as error:
                story["write_error"] = error.strerror
            story["after"] = as_story(plugin.probe(name))
    finally:
        command("umount", mount)
    return story


def hung(folder: Path) -> Story:
    """Hang one of two mounts: probe it twice, collect metrics, then let it recover."""
    good, bad = folder / "good", folder / "bad"
    for path in (good, bad):
        path.mkdir()
    command("mount", "-t", "tmpfs", "-o", "size=1M", "none", good)
    names = probe_names((str(good), str(bad)))
    story: Story = {}
    with run_plugin(DiskPlugin, {"mounts": [str(good), str(bad)]}) as plugin:
        with hung_mount(bad):
            story["first"] = as_story(plugin.probe(names[str(bad)]))
            story["good"] = as_story(plugin.probe(names[str(good)]))
            story["second"] = as_story(plugin.probe(names[str(bad)]))
            samples = plugin.collect(may_fail=[names[str(bad)]])
            story["mounts"] = sorted({sample.labels["mount"] for sample in samples})
            story["good_again"] = as_story(plugin.probe(names[str(good)]))

        def recovered() -> Story:
            found = as_story(plugin.probe(names[str(bad)]))
            return {} if found["code"] in ("stuck", "timeout") else found

        story["recovered"] = wait_until(recovered, "the stuck call ends with its file system")
    return story


BLOCKS = 1000
BLOCK = 4096
"""Bytes of a block."""

REPORTS: dict[str, tuple[int, ...]] = {
    "usual": (BLOCKS, 400, 300, 100, 75),
    "available_beyond_the_size": (BLOCKS, 400, 2 * BLOCKS, 100, 75),
    "available_beyond_the_free": (BLOCKS, 400, 401, 100, 75),
    "available_beyond_the_free_and_no_inodes": (BLOCKS, 10, 900, 100, 1),
    "available_negative": (BLOCKS, 10, -20, 100, 75),
    "free_beyond_the_size": (BLOCKS, BLOCKS + 1, 300, 100, 75),
    "free_negative": (BLOCKS, -1, 300, 100, 75),
    "free_and_available_beyond_the_size": (BLOCKS, BLOCKS + 2, BLOCKS + 1, 100, 75),
    "size_negative": (-1, 400, 300, 100, 75),
    "inodes_free_beyond_the_total": (BLOCKS, 400, 300, 100, 101),
    "inodes_free_negative": (BLOCKS, 400, 300, 100, -1),
    "inodes_negative": (BLOCKS, 400, 300, -1, 75),
    "space_impossible_and_no_inodes": (BLOCKS, 400, -1, 100, 1),
    "inodes_impossible_and_no_space": (BLOCKS, 10, 10, 100, 101),
}
"""Values that file systems report: f_blocks, f_bfree, f_bavail, f_files and f_ffree."""


def reports(folder: Path) -> Story:
    """Mount a file system for each of REPORTS, and one whose blocks have no size."""
    name = probe_names((str(folder),))[str(folder)]
    cases = {case: (values, BLOCK) for case, values in REPORTS.items()}
    cases["blocks_without_a_size"] = (REPORTS["usual"], 0)
    story: Story = {}
    with run_plugin(DiskPlugin, {"mounts": [str(folder)]}) as plugin:
        for case, (values, block_size) in cases.items():
            with reporting_mount(folder, *values, block_size=block_size):
                story[case] = as_story(plugin.probe(name))
                story[case]["samples"] = {
                    sample.metric.removeprefix("aliaport_disk_"): sample.value
                    for sample in plugin.collect()
                }
    return story


NAMES = ("a b", "a\rb", "a\vb", "a\fb", "a\x1cb", "a\x85b", "a\u2028b", "a\nb", "a\\b")
"""Names of folders with characters that end a line somewhere."""


def own_folders(folder: Path) -> Story:
    """Keep logs on a mount of their own that is almost full, on one with a name, and on /."""
    for name in ("logs", "data", "\udcff"):
        (folder / name).mkdir()
        command("mount", "-t", "tmpfs", "-o", "size=1M", "none", folder / name)
    (folder / "logs/file").write_bytes(b"x" * 1_018_000)
    (folder / "data/logs").mkdir()
    mounts, story = ["/", str(folder / "data")], {}
    for case, own in {
        "own mount": [folder / "logs/aliaport", folder / "logs/postgresql"],
        "configured mount": [folder / "data/logs"],
        "root": [Path("/")],
        "no UTF-8": [folder / "\udcff"],
    }.items():
        with run_plugin(DiskPlugin, {"mounts": mounts}, data_folders=own) as plugin:
            found = sorted({sample.labels["mount"] for sample in plugin.collect()} - {*mounts})
            story[case] = {"more": found}
            if own[0].parent == folder / "logs":
                name = list(probe_names((*mounts, str(folder / "logs"))).values())[-1]
                story[case] |= as_story(plugin.probe(name))
    return story


def names(folder: Path) -> Story:
    """Mount a tmpfs on folders with each of NAMES."""
    mounts = [str(folder / name) for name in NAMES]
    for mount in mounts:
        Path(mount).mkdir()
        command("mount", "-t", "tmpfs", "-o", "size=1M", "none", mount)
    with run_plugin(DiskPlugin, {"mounts": mounts}) as plugin:
        return {
            "codes": [plugin.probe(name).code for name in probe_names(tuple(mounts)).values()],
            "samples": len(plugin.collect()),
        }


def running_service(folder: Path) -> Story:
    """Run the service with its logs on a mount of their own that is almost full."""
    mount = folder / "mount"
    mount.mkdir()
    command("mount", "-t", "tmpfs", "-o", "size=2M", "none", mount)
    (mount / "file").write_bytes(b"x" * 2_030_000)
    (folder / "run").mkdir()
    (folder / "run/logs").symlink_to(mount)
    with running(folder, allow=["disk"]) as service:
        probes = service.get("/status").json["data"]["probes"]
    return {"probes": {probe["name"]: probe for probe in probes}}


STORIES: tuple[Callable[[Path], Story], ...] = (
    *(full, read_only, failing_ext4, hung, reports, names, own_folders, running_service),
)

if __name__ == "__main__":
    stories = {story.__name__: story for story in STORIES}
    print(json.dumps(stories[sys.argv[1]](Path(sys.argv[2]))))
