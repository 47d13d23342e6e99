"""All that is applied is valid: Kubernetes' own schemas, and closed ones for the operator's."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from tests.kubernetes.custom_resources import SPECS, problems
from tests.kubernetes.render import OVERLAYS, Resource, build, of_kind, one

VERSIONS = ("1.34", "1.36", "1.37")


def invalid(resource: Resource, version: str) -> str:
    try:
        used = kubernetes_validate.validate(resource, version, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return f"{resource['kind']} {resource['metadata']['name']}: {error.message}"
    assert used == version, f"there is no schema of {version}; {used} was used"
    return ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_resources_are_valid(overlay: str, version: str) -> None:
    own = [resource for resource in build(overlay) if resource["kind"] not in SPECS]
    assert len(own) > 5
    found = [problem for resource in own if (problem := invalid(resource, version))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_are_valid(overlay: str) -> None:
    custom = of_kind(build(overlay), *SPECS)
    assert custom
    found = [problem for resource in custom for problem in problems(resource)]
    assert not found, "\n".join(found)


def _set(*path: Any, value: Any = None) -> Callable[[Resource], None]:
    def change(resource: Resource) -> None:
        node: Any = resource
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Deployment", _set("spec", "template", "spec", "enableServiceLink", value=False)),
        ("Deployment", _set("spec", "minReadySeconds", value="10")),
        ("HorizontalPodAutoscaler", _set("spec", "maxReplica", value=3)),
        ("PodDisruptionBudget", _set("spec", "maxUnavailabel", value=1)),
        ("Ingress", _set("spec", "rules", 0, "http", "paths", 0, "pathTyp", value="Exact")),
    ],
)
def test_a_slip_is_noticed(kind: str, change: Callable[[Resource], None], version: str) -> None:
    resource = one(build("production"), kind)
    change(resource)
    assert invalid(resource, version)


MONITOR = partial(_set, "spec", "endpoints", 0)


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("ServiceMonitor", "backend", MONITOR("intervall", value="15s")),
        ("ServiceMonitor", "backend", MONITOR("interval", value="15 s")),
        ("ServiceMonitor", "backend", MONITOR("relabelings", 0, "targetLabels", value="a")),
        ("ServiceMonitor", "backend", MONITOR("relabelings", 2, "action", value="labledrop")),
        ("ServiceMonitor", "backend", _set("spec", "selektor", value={})),
        ("PrometheusRule", "aliaport-alert", _set("spec", "group", value=[])),
        ("PrometheusRule", "aliaport-service", _set("spec", "groups", 0, "rules", 0, "fore", value="1m")),
        ("PrometheusRule", "aliaport-service", _set("spec", "groups", 0, "rules", 0, "record", value="a")),
        ("Probe", "public-health", _set("spec", "prober", "url", value="http://a:9115/probe")),
        ("Probe", "public-health", _set("spec", "modul", value="a")),
    ],
)  # fmt: skip
def test_a_slip_in_a_custom_resource_is_noticed(
    kind: str, name: str, change: Callable[[Resource], None]
) -> None:
    resource = one(build("production"), kind, name)
    assert not problems(copy.deepcopy(resource))
    change(resource)
    assert problems(resource)
