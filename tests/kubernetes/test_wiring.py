"""Every reference between the manifests leads to something that exists."""

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
    """Return the workloads whose pods have these labels."""
    return [
        workload
        for workload in workloads(resources)
        if selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    ]


def port_names(workload: Resource) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in containers(pod_spec(workload))
        for port in container["ports"]
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_workload_selects_its_own_pods(overlay: str) -> None:
    for workload in workloads(build(overlay)):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for spread in pod_spec(workload).get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_selects_one_workload_and_ports_that_it_has(overlay: str) -> None:
    resources = build(overlay)
    services = of_kind(resources, "Service")
    assert services
    for service in services:
        (workload,) = selected(resources, service["spec"]["selector"])
        ports = port_names(workload)
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], service["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_use_ports_that_the_container_has(overlay: str) -> None:
    for workload in workloads(build(overlay)):
        for spec in containers(pod_spec(workload)):
            probed = [spec[key]["httpGet"]["port"] for key in spec if key.endswith("Probe")]
            assert probed
            assert set(probed) <= {port["name"] for port in spec["ports"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_volumes_and_their_contents_exist(overlay: str) -> None:
    resources = build(overlay)
    maps = {resource["metadata"]["name"] for resource in of_kind(resources, "ConfigMap")}
    accounts = {resource["metadata"]["name"] for resource in of_kind(resources, "ServiceAccount")}
    for workload in workloads(resources):
        spec = pod_spec(workload)
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounted = [
            mount["name"] for container in containers(spec) for mount in container["volumeMounts"]
        ]
        assert sorted(mounted) == sorted(volumes), "each volume is mounted, once"
        named = [
            volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume
        ]
        assert named
        assert set(named) <= maps
        assert spec["serviceAccountName"] in accounts


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_each_secret_is_read_from_its_file(overlay: str) -> None:
    spec = pod_spec(one(build(overlay), "Deployment"))
    (volume,) = [volume for volume in spec["volumes"] if "secret" in volume]
    (mount,) = [e for e in container(overlay)["volumeMounts"] if e["name"] == volume["name"]]
    assert {item["key"] for item in volume["secret"]["items"]} == set(SECRETS)
    mounted = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
    variables = {variable["name"]: variable["value"] for variable in container(overlay)["env"]}
    named = {value for name, value in variables.items() if name.endswith("_FILE")}
    assert named == mounted
    assert not {"DATABASE_URL", "SENTRY_DSN", "ALIAPORT_STATUS_TOKEN"} & set(variables)
    assert volume["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_image_has_this_version_and_its_user(overlay: str) -> None:
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
    """Return how many of this number of ready replicas may be evicted at once."""
    if "maxUnavailable" in budget:
        return min(int(budget["maxUnavailable"]), replicas)
    return max(replicas - int(budget["minAvailable"]), 0)


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_a_node_can_always_be_drained_while_a_replica_serves(overlay: str) -> None:
    resources = build(overlay)
    scale = one(resources, "HorizontalPodAutoscaler")["spec"]
    budget = one(resources, "PodDisruptionBudget")["spec"]
    assert 2 <= scale["minReplicas"] < scale["maxReplicas"]
    for replicas in range(scale["minReplicas"], scale["maxReplicas"] + 1):
        assert 0 < evictable(budget, replicas) < replicas
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_a_rollout_starts_new_replicas_first(overlay: str) -> None:
    spec = one(build(overlay), "Deployment")["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["strategy"]["rollingUpdate"]["maxSurge"] >= 1
    assert spec["minReadySeconds"] >= 5
    assert "replicas" not in spec, "each apply would undo the autoscaler's number"


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_autoscaler_uses_a_resource_that_has_a_request(overlay: str) -> None:
    (metric,) = one(build(overlay), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["resource"]["target"]["type"] == "Utilization"
    assert metric["resource"]["name"] in container(overlay)["resources"]["requests"]


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_each_environment_has_its_host_and_the_public_port(overlay: str) -> None:
    resources = build(overlay)
    spec = one(resources, "Ingress")["spec"]
    (rule,) = spec["rules"]
    expected = {"staging": "staging.aliaport.com", "production": "aliaport.com"}[overlay]
    assert rule["host"] == expected
    assert [entry["hosts"] for entry in spec["tls"]] == [[rule["host"]]]
    (path,) = rule["http"]["paths"]
    service = one(resources, "Service", path["backend"]["service"]["name"])
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert ports == {"http": 8000}, "the public port must not serve /status and /metrics"
    assert path["backend"]["service"]["port"]["name"] in ports


def test_the_environments_differ_only_where_intended() -> None:
    one_side, other = (
        {
            (resource["kind"], resource["metadata"]["name"].replace(name, "")): resource
            for resource in build(name)
        }
        for name in ENVIRONMENTS
    )
    assert one_side.keys() == other.keys()
    differing = {
        kind
        for (kind, name), resource in one_side.items()
        if resource["kind"] != "Namespace" and resource.get("spec") != other[kind, name].get("spec")
    }
    assert differing == {"Deployment", "HorizontalPodAutoscaler", "Ingress", "Probe"}


def test_filebeat_reads_the_volume_that_the_service_writes() -> None:
    resources = build("logging")
    config = yaml.safe_load(one(resources, "ConfigMap")["data"]["filebeat.yml"])
    spec = pod_spec(one(resources, "DaemonSet"))
    (own,) = spec["containers"]
    paths = [path for entry in config["filebeat.inputs"] for path in entry["paths"]]
    folders = {path.rpartition("/")[0] for path in paths}
    for overlay in ENVIRONMENTS:
        pod = pod_spec(one(build(overlay), "Deployment"))
        variables = {variable["name"]: variable["value"] for variable in container(overlay)["env"]}
        written = variables["ALIAPORT_LOG__FOLDER"]
        (mount,) = [e for e in container(overlay)["volumeMounts"] if e["mountPath"] == written]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
        assert "medium" not in volume["emptyDir"], "memory is not below the kubelet's folder"
        (host,) = [volume for volume in spec["volumes"] if volume["name"] == "pods"]
        assert host["hostPath"]["path"] == "/var/lib/kubelet/pods"
        (pods,) = [mount["mountPath"] for mount in own["volumeMounts"] if mount["name"] == "pods"]
        assert folders == {f"{pods}/*/volumes/kubernetes.io~empty-dir/{mount['name']}"}
    assert config["http"]["port"] == port_names(one(resources, "DaemonSet"))["stats"]
    seconds = int(config["filebeat.shutdown_timeout"].removesuffix("s"))
    assert spec["terminationGracePeriodSeconds"] >= seconds + 10
    given = {variable["name"] for variable in own["env"]}
    text = one(resources, "ConfigMap")["data"]["filebeat.yml"]
    assert set(re.findall(r"\$\{(\w+)", text)) == given, (
        "the variables that it reads must be those that it gets"
    )


def test_every_file_is_used() -> None:
    for folder in (*OVERLAYS, "base"):
        plan = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())
        named = {entry.partition("/")[0] for entry in plan["resources"]} - {".."}
        named |= {patch["path"] for patch in plan.get("patches", [])}
        named |= {
            file for generator in plan.get("configMapGenerator", []) for file in generator["files"]
        }
        present = {file.name for file in (KUBERNETES / folder).iterdir()}
        assert named == present - {"kustomization.yaml"}, folder
