"""Runs the relabelings of a monitor with promtool: the operator's, then ours.

The operator's are copied from its source (what it generates for the role `endpoints`).
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.render import Resource

NAMES = {
    "sourceLabels": "source_labels",
    "targetLabel": "target_label",
}


def _operators(port: str) -> list[dict[str, Any]]:
    meta = "__meta_kubernetes_"
    copied = {
        "namespace": f"{meta}namespace",
        "service": f"{meta}service_name",
        "pod": f"{meta}pod_name",
        "container": f"{meta}pod_container_name",
        "job": f"{meta}service_name",
    }
    return [
        *({"source_labels": [source], "target_label": label} for label, source in copied.items()),
        {"target_label": "endpoint", "replacement": port},
    ]


def target(monitor: Resource, service: Resource, folder: Path) -> dict[str, str]:
    """Return the labels of one target that the monitor finds behind the service."""
    (endpoint,) = monitor["spec"]["endpoints"]
    (number,) = [e["port"] for e in service["spec"]["ports"] if e["name"] == endpoint["port"]]
    selector = monitor["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items(), "it finds no such Service"
    own = [
        {NAMES.get(key, key): value for key, value in relabeling.items()}
        for relabeling in endpoint["relabelings"]
    ]
    job = {
        "job_name": "monitor",
        "metrics_path": endpoint["path"],
        "params": endpoint.get("params", {}),
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["scrapeTimeout"],
        "static_configs": [
            {
                "targets": [f"10.1.2.3:{number}"],
                "labels": {
                    "__meta_kubernetes_namespace": service["metadata"]["namespace"],
                    "__meta_kubernetes_service_name": service["metadata"]["name"],
                    "__meta_kubernetes_pod_name": "backend-5d9c7b-x2x4z",
                    "__meta_kubernetes_pod_container_name": "backend",
                },
            }
        ],
        "relabel_configs": [*_operators(endpoint["port"]), *own],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    labels: dict[str, str] = _discovered(file)[0]["labels"]
    return labels


def _discovered(file: Path) -> list[dict[str, Any]]:
    """Return the targets that promtool finds; it always searches for its whole timeout."""
    for timeout in ("200ms", "2s", "20s"):
        done = subprocess.run(
            ["promtool", "check", "service-discovery", f"--timeout={timeout}", file, "monitor"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        found: list[dict[str, Any]] = json.loads(done.stdout) or []
        # On a busy machine, the shortest timeout may pass before the targets are there.
        if found:
            break
    assert len(found) == 1, done.stdout
    return found


def visible(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels of a target that its series carry."""
    return {name: value for name, value in labels.items() if not re.match("__", name)}
