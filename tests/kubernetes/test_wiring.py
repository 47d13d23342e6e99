"""What names something else names what is there."""

import re
from typing import Any

import pytest
import yaml

import aliaport
from tests.kubernetes.pods import containers
from tests.kubernetes.render import KUBERNETES, OVERLAYS, Resource, build, of_kind, one, pod_spec
from tests.kubernetes.service_side import DOCKERFILE, SECRETS, container

ENVIRONMENTS = ("staging", "production")


def workloads(resources: list[Resource]) -> list[Resource]:
    return of_kind(resources, "Deployment", "DaemonSet")


def selected(resources: list[Resource], selector: dict[str, str]) -> list[Resource]:
    """The workloads whose pods have these labels."""
    return [
        each
        for each in workloads(resources)
        if selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]


def port_names(workload: Resource) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for each in containers(pod_spec(workload))
        for port in each["ports"]
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_workload_selects_its_own_pods(overlay: str) -> None:
    for each in workloads(build(overlay)):
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for spread in pod_spec(each).get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_leads_to_one_workload_and_to_ports_that_it_has(overlay: str) -> None:
    resources = build(overlay)
    services = of_kind(resources, "Service")
    assert services
    for service in services:
        (workload,) = selected(resources, service["spec"]["selector"])
        ports = port_names(workload)
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], service["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_probe_asks_a_port_that_the_container_has(overlay: str) -> None:
    for workload in workloads(build(overlay)):
        for each in containers(pod_spec(workload)):
            asked = [each[key]["httpGet"]["port"] for key in each if key.endswith("Probe")]
            assert asked
            assert set(asked) <= {port["name"] for port in each["ports"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_volumes_and_what_they_hold_are_there(overlay: str) -> None:
    resources = build(overlay)
    maps = {each["metadata"]["name"] for each in of_kind(resources, "ConfigMap")}
    accounts = {each["metadata"]["name"] for each in of_kind(resources, "ServiceAccount")}
    for workload in workloads(resources):
        spec = pod_spec(workload)
        volumes = {each["name"]: each for each in spec["volumes"]}
        mounted = [mount["name"] for each in containers(spec) for mount in each["volumeMounts"]]
        assert sorted(mounted) == sorted(volumes), "each volume is mounted, once"
        named = [each["configMap"]["name"] for each in volumes.values() if "configMap" in each]
        assert named
        assert set(named) <= maps
        assert spec["serviceAccountName"] in accounts


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_each_secret_is_read_from_its_file(overlay: str) -> None:
    spec = pod_spec(one(build(overlay), "Deployment"))
    (volume,) = [each for each in spec["volumes"] if "secret" in each]
    (mount,) = [e for e in container(overlay)["volumeMounts"] if e["name"] == volume["name"]]
    assert {item["key"] for item in volume["secret"]["items"]} == set(SECRETS)
    mounted = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
    variables = {each["name"]: each["value"] for each in container(overlay)["env"]}
    named = {value for name, value in variables.items() if name.endswith("_FILE")}
    assert named == mounted
    assert not {"DATABASE_URL", "SENTRY_DSN", "ALIAPORT_STATUS_TOKEN"} & set(variables)
    assert volume["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_image_is_this_version_and_runs_as_it_does(overlay: str) -> None:
    assert container(overlay)["image"] == f"aliaport:{aliaport.__version__}"
    spec = pod_spec(one(build(overlay), "Deployment"))
    (user,) = re.findall(r"useradd .*--uid (\d+)", DOCKERFILE)
    assert spec["securityContext"]["runAsUser"] == int(user)
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    (volume,) = re.findall(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    assert volume in [mount["mountPath"] for mount in container(overlay)["volumeMounts"]]
    assert f"EXPOSE {port_names(one(build(overlay), 'Deployment'))['http']}" in DOCKERFILE


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_autoscaler_and_disruption_budget_are_the_deployments(overlay: str) -> None:
    resources = build(overlay)
    deployment = one(resources, "Deployment")
    target = one(resources, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    budget = one(resources, "PodDisruptionBudget")["spec"]
    assert budget["selector"] == deployment["spec"]["selector"]


def evictable(budget: dict[str, Any], replicas: int) -> int:
    """How many of so many ready replicas may be evicted at once."""
    if "maxUnavailable" in budget:
        return min(int(budget["maxUnavailable"]), replicas)
    return max(replicas - int(budget["minAvailable"]), 0)


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_a_node_can_always_be_drained_and_somebody_always_serves(overlay: str) -> None:
    resources = build(overlay)
    scale = one(resources, "HorizontalPodAutoscaler")["spec"]
    budget = one(resources, "PodDisruptionBudget")["spec"]
    assert 2 <= scale["minReplicas"] < scale["maxReplicas"]
    for replicas in range(scale["minReplicas"], scale["maxReplicas"] + 1):
        assert 0 < evictable(budget, replicas) < replicas
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_a_rollout_takes_nobody_away_first(overlay: str) -> None:
    spec = one(build(overlay), "Deployment")["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["strategy"]["rollingUpdate"]["maxSurge"] >= 1
    assert spec["minReadySeconds"] >= 5
    assert "replicas" not in spec, "each apply would undo the autoscaler's number"


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_autoscaler_measures_a_share_of_a_request_that_is_made(overlay: str) -> None:
    (metric,) = one(build(overlay), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["resource"]["target"]["type"] == "Utilization"
    assert metric["resource"]["name"] in container(overlay)["resources"]["requests"]


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_ingress_leads_to_the_public_port_of_a_host_of_its_own(overlay: str) -> None:
    resources = build(overlay)
    spec = one(resources, "Ingress")["spec"]
    (rule,) = spec["rules"]
    expected = {"staging": "staging.aliaport.com", "production": "aliaport.com"}[overlay]
    assert rule["host"] == expected
    assert [each["hosts"] for each in spec["tls"]] == [[rule["host"]]]
    (path,) = rule["http"]["paths"]
    service = one(resources, "Service", path["backend"]["service"]["name"])
    ports = {each["name"]: each["port"] for each in service["spec"]["ports"]}
    assert ports == {"http": 8000}, "what the public reaches must not have /status and /metrics"
    assert path["backend"]["service"]["port"]["name"] in ports


def test_both_environments_are_alike_but_for_what_is_meant_to_differ() -> None:
    one_side, other = (
        {(each["kind"], each["metadata"]["name"].replace(name, "")): each for each in build(name)}
        for name in ENVIRONMENTS
    )
    assert one_side.keys() == other.keys()
    differing = {
        kind
        for (kind, name), each in one_side.items()
        if each["kind"] != "Namespace" and each.get("spec") != other[kind, name].get("spec")
    }
    assert differing == {"Deployment", "HorizontalPodAutoscaler", "Ingress", "Probe"}


def test_filebeat_reads_the_volume_that_the_service_writes() -> None:
    resources = build("logging")
    config = yaml.safe_load(one(resources, "ConfigMap")["data"]["filebeat.yml"])
    spec = pod_spec(one(resources, "DaemonSet"))
    (own,) = spec["containers"]
    paths = [path for each in config["filebeat.inputs"] for path in each["paths"]]
    folders = {path.rpartition("/")[0] for path in paths}
    for overlay in ENVIRONMENTS:
        pod = pod_spec(one(build(overlay), "Deployment"))
        variables = {each["name"]: each["value"] for each in container(overlay)["env"]}
        written = variables["ALIAPORT_LOG__FOLDER"]
        (mount,) = [e for e in container(overlay)["volumeMounts"] if e["mountPath"] == written]
        (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
        assert "medium" not in volume["emptyDir"], "memory is not below the kubelet's folder"
        (host,) = [each for each in spec["volumes"] if each["name"] == "pods"]
        assert host["hostPath"]["path"] == "/var/lib/kubelet/pods"
        (pods,) = [each["mountPath"] for each in own["volumeMounts"] if each["name"] == "pods"]
        assert folders == {f"{pods}/*/volumes/kubernetes.io~empty-dir/{mount['name']}"}
    assert config["http"]["port"] == port_names(one(resources, "DaemonSet"))["stats"]
    seconds = int(config["filebeat.shutdown_timeout"].removesuffix("s"))
    assert spec["terminationGracePeriodSeconds"] >= seconds + 10
    given = {each["name"] for each in own["env"]}
    text = one(resources, "ConfigMap")["data"]["filebeat.yml"]
    assert set(re.findall(r"\$\{(\w+)", text)) == given, "variables that it reads and that it gets"


def test_every_file_is_used() -> None:
    for folder in (*OVERLAYS, "base"):
        plan = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())
        named = {entry.partition("/")[0] for entry in plan["resources"]} - {".."}
        named |= {each["path"] for each in plan.get("patches", [])}
        named |= {file for each in plan.get("configMapGenerator", []) for file in each["files"]}
        present = {each.name for each in (KUBERNETES / folder).iterdir()}
        assert named == present - {"kustomization.yaml"}, folder
