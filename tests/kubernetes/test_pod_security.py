"""Every pod is as restricted as possible; the one exception is listed completely."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kubernetes.pods import Spec, ours, restricted
from tests.kubernetes.render import OVERLAYS, build, of_kind, one, pod_spec

PODS = [
    pytest.param(pod_spec(resource), id=f"{overlay}-{resource['metadata']['name']}")
    for overlay in OVERLAYS
    for resource in of_kind(
        build(overlay), "Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob"
    )
]


@pytest.mark.parametrize("spec", PODS)
def test_every_pod_meets_our_requirements(spec: Spec) -> None:
    assert not ours(spec)


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_the_service_meets_the_restricted_profile_and_its_namespace_enforces_it(
    overlay: str,
) -> None:
    resources = build(overlay)
    deployments = of_kind(resources, "Deployment", "DaemonSet")
    assert [deployment["metadata"]["name"] for deployment in deployments] == ["backend"]
    assert not restricted(pod_spec(deployments[0]))
    labels = one(resources, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_filebeat_deviates_from_the_profile_only_where_it_must() -> None:
    spec = pod_spec(one(build("logging"), "DaemonSet"))
    assert sorted(restricted(spec)) == [
        "filebeat: adds DAC_READ_SEARCH",
        "filebeat: runAsNonRoot",
        "filebeat: runs as root",
        "volume pods: hostPath",
        "volume registry: hostPath",
    ]
    (container,) = spec["containers"]
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"registry"}, "Filebeat may write its own registry and nothing else"


def _container(**changes: Any) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        spec["containers"][0]["securityContext"] |= changes

    return change


def _pod(**changes: Any) -> Callable[[Spec], None]:
    return lambda spec: spec.update(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_pod(hostNetwork=True), "hostNetwork"),
        (_pod(volumes=[{"name": "a", "hostPath": {"path": "/"}}]), "volume a: hostPath"),
        (_pod(securityContext={"runAsNonRoot": True}), "backend: seccompProfile"),
        (_container(privileged=True), "backend: privileged"),
        (_container(allowPrivilegeEscalation=True), "backend: allowPrivilegeEscalation"),
        (_container(capabilities={"drop": ["NET_RAW"]}), "backend: does not drop ALL"),
        (_container(capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]}), "backend: adds SYS_PTRACE"),
        (_container(runAsNonRoot=False), "backend: runAsNonRoot"),
        (_container(runAsUser=0), "backend: runs as root"),
        (_container(seccompProfile={"type": "Unconfined"}), "backend: seccompProfile"),
    ],
)  # fmt: skip
def test_a_less_restricted_pod_is_noticed(change: Callable[[Spec], None], said: str) -> None:
    spec = pod_spec(one(build("production"), "Deployment"))
    change(spec)
    assert restricted(spec) == [said]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_pod(enableServiceLinks=True), "enableServiceLinks"),
        (lambda spec: spec.pop("automountServiceAccountToken"), "automountServiceAccountToken"),
        (_container(readOnlyRootFilesystem=False), "backend: readOnlyRootFilesystem"),
        (lambda spec: spec["containers"][0].update(image="a:5000/aliaport"), "backend: an image without a version"),
        (lambda spec: spec["containers"][0]["resources"]["limits"].pop("memory"), "backend: no limits of memory"),
    ],
)  # fmt: skip
def test_a_pod_that_misses_a_requirement_is_noticed(
    change: Callable[[Spec], None], said: str
) -> None:
    spec = pod_spec(one(build("production"), "Deployment"))
    change(spec)
    assert ours(spec) == [said]
