"""The small reimplementation of Kustomize has the same hash and guesses nothing."""

from pathlib import Path

import pytest
import yaml

from tests.kubernetes.render import OVERLAYS, UnsupportedError, build, content_hash, merge, read


def test_the_hash_is_kustomizes() -> None:
    # The result of Kustomize 5.8.1 for this file.
    assert content_hash({"f.txt": 'a < b & "c"\nğ\n'}) == "4ttt9k27d2"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_contains_all_resources(overlay: str) -> None:
    resources = build(overlay)
    named = {resource["kind"] for resource in resources}
    expected = {"logging": {"DaemonSet", "ServiceAccount", "ServiceMonitor", "ConfigMap"}}.get(
        overlay,
        {
            "Deployment", "Service", "Ingress", "ConfigMap", "PodDisruptionBudget",
            "HorizontalPodAutoscaler", "NetworkPolicy", "ServiceMonitor", "PrometheusRule",
            "Probe", "Namespace", "ServiceAccount",
        },
    )  # fmt: skip
    assert expected <= named, f"missing: {expected - named}"
    for resource in resources:
        namespace = resource["metadata"].get("namespace") or resource["metadata"]["name"]
        assert namespace == f"aliaport-{overlay}", resource["metadata"]["name"]


def test_the_base_names_no_namespace_or_host() -> None:
    for resource in read(Path(__file__).parents[2] / "deploy/kubernetes/base"):
        assert "namespace" not in resource["metadata"], resource["metadata"]["name"]
        if resource["kind"] == "Ingress":
            assert "host" not in str(resource["spec"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("namePrefix", "a-"),
        ("patches", [{"patch": "[]", "target": {"kind": "Service"}}]),
        ("configMapGenerator", [{"name": "x", "literals": ["a=b"]}]),
        ("images", [{"name": "x", "digest": "sha256:0"}]),
    ],
)
def test_unsupported_features_are_refused(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({key: value}))
    with pytest.raises(UnsupportedError):
        read(tmp_path)


@pytest.mark.parametrize(
    "patch",
    [
        {"ports": [{"port": 1}]},
        {"selector": None},
        {"containers": [{"name": "another", "image": "x"}]},
    ],
)
def test_unsupported_patches_are_refused(patch: dict[str, object]) -> None:
    target = {"ports": [{"port": 2}], "selector": {"a": "b"}, "containers": [{"name": "backend"}]}
    with pytest.raises(UnsupportedError):
        merge(target, patch)
