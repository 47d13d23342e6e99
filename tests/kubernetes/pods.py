"""The restricted profile of the Pod Security Standards, and our own requirements beyond it."""

from collections.abc import Iterator
from typing import Any

RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")

Spec = dict[str, Any]


def containers(spec: Spec) -> list[Spec]:
    return [*spec["containers"], *spec.get("initContainers", [])]


def volume_kind(volume: Spec) -> str:
    (kind,) = set(volume) - {"name"}
    return kind


def restricted(spec: Spec) -> list[str]:
    """Return what the profile would refuse."""
    return [
        *_of_pod(spec),
        *(line for container in containers(spec) for line in _of_one(spec, container)),
    ]


def _of_pod(spec: Spec) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec.get("volumes", []):
        if volume_kind(volume) not in RESTRICTED_VOLUMES:
            yield f"volume {volume['name']}: {volume_kind(volume)}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls"


def _of_one(spec: Spec, container: Spec) -> Iterator[str]:
    name = container["name"]
    own = container.get("securityContext", {})
    both = {**spec.get("securityContext", {}), **own}
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: does not drop ALL"
    for capability in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: adds {capability}"
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot"
    if both.get("runAsUser") == 0:
        yield f"{name}: runs as root"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{name}: seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: hostPort"
    if any("host" in container.get(probe, {}).get("httpGet", {}) for probe in PROBES):
        yield f"{name}: a probe of another host"


def ours(spec: Spec) -> list[str]:
    """Return what violates our own requirements beyond the profile."""
    found = [
        key
        for key in ("enableServiceLinks", "automountServiceAccountToken")
        if spec.get(key) is not False
    ]
    for container in containers(spec):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            found.append(f"{container['name']}: readOnlyRootFilesystem")
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            found.append(f"{container['name']}: an image without a version")
        for kind in ("requests", "limits"):
            given = container.get("resources", {}).get(kind, {})
            found += [
                f"{container['name']}: no {kind} of {key}"
                for key in ("cpu", "memory")
                if key not in given
            ]
    return found


QUANTITY = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(text: str | int) -> float:
    """Return a Kubernetes quantity as a number."""
    digits = str(text).rstrip("kKMGmi")
    return float(digits) * QUANTITY[str(text)[len(digits) :]]
