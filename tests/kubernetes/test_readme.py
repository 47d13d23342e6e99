"""README.md matches the manifests."""

import re

import pytest
import yaml
from aliaport_currency_sync.config import RatesConfig
from aliaport_db.config import DbConfig
from aliaport_db.plugin import DbPlugin
from aliaport_operations.config import ApiConfig

from aliaport.postgres import ReconnectingConnection
from aliaport.testing import make_context
from tests.kubernetes.render import KUBERNETES, Resource, build, one, pod_spec
from tests.kubernetes.service_side import SECRETS, container

TEXT = (KUBERNETES / "README.md").read_text()
PLUGINS = KUBERNETES.parents[1] / "plugins"
ENVIRONMENTS = ("staging", "production")


def beside_the_pool(plugin: str) -> int:
    text = (PLUGINS / plugin / "README.md").read_text()
    (number,) = re.findall(r"holds at most (\d+) database connections in addition", text)
    return int(number)


def connections() -> dict[str, int]:
    """Return the maximum number of connections of one replica, by plugin."""
    context = make_context("db", database_url="postgresql://nobody@127.0.0.1:1/none")
    held = vars(DbPlugin(DbConfig(), context)).values()
    return {
        "db": sum(isinstance(value, ReconnectingConnection) for value in held),
        "currency_sync": beside_the_pool("currency-sync") + RatesConfig().pool_size,
        "operations": beside_the_pool("operations") + ApiConfig().pool_size,
    }


def max_replicas(overlay: str) -> int:
    resources = build(overlay)
    replicas: int = one(resources, "HorizontalPodAutoscaler")["spec"]["maxReplicas"]
    surge: int = one(resources, "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    return replicas + surge


def test_postgresql_has_connections_for_every_replica() -> None:
    counts = connections()
    total = sum(counts.values())
    (limit,) = re.findall(r"max_connections = (\d+)", TEXT)
    sums = {overlay: total * max_replicas(overlay) for overlay in ENVIRONMENTS}
    # Exporter, psql and backups need some too.
    assert max(sums.values()) + 20 <= int(limit)
    parts = ", ".join(f"{name} {number}" for name, number in counts.items())
    assert f"up to {total} connections ({parts})" in TEXT
    assert f"{sums['production']} in production, {sums['staging']} in staging" in TEXT
    assert (
        f"up to {total} database connections" in (KUBERNETES / "base/autoscaler.yaml").read_text()
    )


def probe_row(probe: Resource) -> str:
    times = {2: "twice", 3: "three times"}.get(
        probe["failureThreshold"], f"{probe['failureThreshold']} times"
    )
    return f"every {probe['periodSeconds']} s, {probe['timeoutSeconds']} s, {times}"


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_table_has_the_numbers_of_the_manifests(overlay: str) -> None:
    resources = build(overlay)
    own = container(overlay)
    for name in ("readiness", "liveness"):
        assert f"| `{name}Probe` | {probe_row(own[f'{name}Probe'])} |" in TEXT
    startup = own["startupProbe"]
    assert f"every {startup['periodSeconds']} s, {startup['failureThreshold']} times" in TEXT
    grace = pod_spec(one(resources, "Deployment"))["terminationGracePeriodSeconds"]
    assert f"| `terminationGracePeriodSeconds` | {grace} |" in TEXT
    scale = one(resources, "HorizontalPodAutoscaler")["spec"]
    assert f"{overlay} {scale['minReplicas']} to {scale['maxReplicas']}" in TEXT


def test_the_commands_create_the_secrets_that_the_pods_read() -> None:
    made = re.findall(r"create secret generic backend \\\n(.*)", TEXT)
    assert re.findall(r"--from-file=([\w-]+)", made[0]) == list(SECRETS)
    assert f"`{container('production')['image']}`" in TEXT
    spec = pod_spec(one(build("logging"), "DaemonSet"))
    (keys,) = re.findall(r"create secret generic filebeat \\\n(.*)", TEXT)
    given = set(re.findall(r"--from-file=([\w.-]+)=", keys))
    (variable,) = [e for e in spec["containers"][0]["env"] if e["name"] == "ELASTIC_API_KEY"]
    items = [item["key"] for e in spec["volumes"] for item in e.get("secret", {}).get("items", [])]
    assert given == {variable["valueFrom"]["secretKeyRef"]["key"], *items}


def test_the_prometheus_example_finds_the_production_namespace() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    spec = yaml.safe_load(block)["spec"]
    shipped = yaml.safe_load((KUBERNETES.parent / "prometheus/prometheus.yml").read_text())
    assert set(spec["externalLabels"]) == set(shipped["global"]["external_labels"])
    namespace = one(build("production"), "Namespace")["metadata"]["name"]
    wanted = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    for kind in ("serviceMonitor", "probe", "rule"):
        assert spec[f"{kind}NamespaceSelector"] == wanted
        assert spec[f"{kind}Selector"] == {}


def test_the_files_that_it_names_are_there() -> None:
    named = set(re.findall(r"`((?:base|logging|staging|production|\.\.)/[\w./-]+)`", TEXT))
    assert named
    assert not {name for name in named if not (KUBERNETES / name).exists()}
