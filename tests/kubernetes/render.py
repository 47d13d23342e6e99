"""Builds an overlay, with a small reimplementation of Kustomize or with Kustomize itself.

Features of Kustomize that the manifests do not use are refused, not guessed. If ALIAPORT_KUSTOMIZE
names the program (`make kubernetes-current`), Kustomize builds too, and both results must be equal.
"""

import copy
import hashlib
import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
OVERLAYS = ("staging", "production", "logging")
FEATURES = {"resources", "namespace", "patches", "configMapGenerator", "images"}
MERGED = {"containers": "name", "env": "name"}
"""Lists in which a patch changes single items, found by this key."""
REPLACED = {"rules", "tls"}
"""Lists that a patch replaces."""
HASH_LETTERS = str.maketrans("013ae", "ghkmt")

Resource = dict[str, Any]


class UnsupportedError(Exception):
    """The manifests use a feature of Kustomize that is not supported here."""


def identity(resource: Resource) -> tuple[str, str, str]:
    metadata = resource["metadata"]
    return resource["kind"], metadata.get("namespace", ""), metadata["name"]


@cache
def _build(overlay: str) -> tuple[Resource, ...]:
    own = read(KUBERNETES / overlay)
    program = os.environ.get("ALIAPORT_KUSTOMIZE")
    if program is None:
        return tuple(own)
    done = subprocess.run(
        [program, "build", str(KUBERNETES / overlay)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"kustomize build {overlay}: {done.stderr}"
    real = list(yaml.safe_load_all(done.stdout))
    assert {identity(resource): resource for resource in own} == {
        identity(resource): resource for resource in real
    }, f"{overlay}: Kustomize builds something different from render.py"
    return tuple(real)


def build(overlay: str) -> list[Resource]:
    """Return the resources of an overlay, as copies that a test may change."""
    return copy.deepcopy(list(_build(overlay)))


def one(resources: list[Resource], kind: str, name: str | None = None) -> Resource:
    found = [
        resource
        for resource in resources
        if resource["kind"] == kind and name in (None, resource["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def of_kind(resources: list[Resource], *kinds: str) -> list[Resource]:
    return [resource for resource in resources if resource["kind"] in kinds]


def pod_spec(resource: Resource) -> Resource:
    spec: Resource = resource["spec"]["template"]["spec"]
    return spec


def read(folder: Path) -> list[Resource]:
    """Return the resources of a folder with a kustomization.yaml."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(plan) - FEATURES - {"apiVersion", "kind"}:
        raise UnsupportedError(f"{folder.name}: {', '.join(sorted(unknown))}")
    resources: list[Resource] = []
    for entry in plan.get("resources", []):
        path = (folder / entry).resolve()
        found = read(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
        resources += found
    for entry in plan.get("configMapGenerator", []):
        _generate(resources, entry, folder)
    for entry in plan.get("patches", []):
        if set(entry) != {"path"}:
            raise UnsupportedError(f"{folder.name}: a patch with {', '.join(sorted(entry))}")
        patch = yaml.safe_load((folder / entry["path"]).read_text())
        target = one(resources, patch["kind"], patch["metadata"]["name"])
        merge(target, patch)
    for entry in plan.get("images", []):
        _tag(resources, entry)
    if namespace := plan.get("namespace"):
        for resource in resources:
            if resource["kind"] != "Namespace":
                resource["metadata"]["namespace"] = namespace
    identities = [identity(resource) for resource in resources]
    assert len(identities) == len(set(identities)), f"{folder.name}: something is there twice"
    return resources


def merge(target: Resource, patch: Resource) -> None:
    """Apply a strategic merge patch."""
    for key, value in patch.items():
        old = target.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merge(old, value)
        elif value is None or (isinstance(value, list) and "$patch" in str(value)):
            raise UnsupportedError(f"a patch that removes {key}")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            if key in MERGED and isinstance(old, list):
                _merge_list(old, value, MERGED[key])
            elif key in REPLACED:
                target[key] = value
            else:
                raise UnsupportedError(f"a patch of the list {key}")
        else:
            target[key] = value


def _merge_list(target: list[Resource], patch: list[Resource], key: str) -> None:
    for item in patch:
        same = [entry for entry in target if entry[key] == item[key]]
        if not same:
            raise UnsupportedError(f"a patch that adds {item[key]}")
        merge(same[0], item)


def _generate(resources: list[Resource], entry: Resource, folder: Path) -> None:
    if set(entry) != {"name", "files"}:
        raise UnsupportedError(f"a configMapGenerator with {', '.join(sorted(entry))}")
    data = {name: (folder / name).read_text() for name in entry["files"]}
    name = f"{entry['name']}-{content_hash(data)}"
    resources.append(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    )
    for workload in of_kind(resources, "Deployment", "DaemonSet"):
        for volume in pod_spec(workload)["volumes"]:
            if volume.get("configMap", {}).get("name") == entry["name"]:
                volume["configMap"]["name"] = name


def content_hash(data: dict[str, str]) -> str:
    """Return the hash that Kustomize appends to a ConfigMap's name, which the hash leaves out."""
    text = json.dumps(
        {"data": data, "kind": "ConfigMap", "name": ""},
        sort_keys=True, separators=(",", ":"), ensure_ascii=False,
    )  # fmt: skip
    for letter in "<>&":  # as Go writes JSON
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(HASH_LETTERS)


def _tag(resources: list[Resource], entry: Resource) -> None:
    if set(entry) != {"name", "newTag"}:
        raise UnsupportedError(f"an image with {', '.join(sorted(entry))}")
    for workload in of_kind(resources, "Deployment", "DaemonSet"):
        for container in pod_spec(workload)["containers"]:
            if container["image"].partition(":")[0] == entry["name"]:
                container["image"] = f"{entry['name']}:{entry['newTag']}"
