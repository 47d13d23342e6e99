"""The service's network connections, in both directions: what is needed, and nothing else."""

import pytest

from tests.kubernetes.policies import Peer, Pod, Policy, allowed
from tests.kubernetes.render import build, of_kind, one, pod_spec

ENVIRONMENTS = ("staging", "production")
KIND = "app.kubernetes.io/name"
INGRESS = Pod("ingress-nginx", {KIND: "ingress-nginx"})
PROMETHEUS = Pod("monitoring", {KIND: "prometheus"})
BLACKBOX = Pod("monitoring", {KIND: "blackbox-exporter"})
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
POSTGRES = Pod("databases", {KIND: "postgresql"})


def pod(overlay: str, kind: str) -> tuple[list[Policy], Pod]:
    """Return the policies of an overlay, and a pod of its workload."""
    resources = build(overlay)
    workload = one(resources, kind)
    (container,) = pod_spec(workload)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    labels = workload["spec"]["template"]["metadata"]["labels"]
    namespace = workload["metadata"]["namespace"]
    return of_kind(resources, "NetworkPolicy"), Pod(namespace, labels, ports)


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
@pytest.mark.parametrize(
    ("peer", "port", "expected"),
    [
        (INGRESS, 8000, True),
        (PROMETHEUS, 8001, True),
        (BLACKBOX, 8001, True),
        (INGRESS, 8001, False),
        (PROMETHEUS, 8000, False),
        (PROMETHEUS, 22, False),
        (Pod("monitoring", {KIND: "grafana"}), 8001, False),
        (Pod("elsewhere", {KIND: "prometheus"}), 8001, False),
        (Pod("elsewhere", {KIND: "ingress-nginx"}), 8000, False),
        (Pod("aliaport-production", {KIND: "aliaport"}), 8000, False),
        ("203.0.113.7", 8000, False),
    ],
)
def test_connections_to_the_service(overlay: str, peer: Peer, port: int, expected: bool) -> None:
    policies, own = pod(overlay, "Deployment")
    assert allowed(policies, own, "Ingress", peer, port) is expected


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
@pytest.mark.parametrize(
    ("peer", "port", "protocol", "expected"),
    [
        (DNS, 53, "UDP", True),
        (DNS, 53, "TCP", True),
        (POSTGRES, 5432, "TCP", True),
        ("10.20.30.40", 5432, "TCP", True),
        ("203.0.113.7", 443, "TCP", True),  # the central bank, Sentry
        ("2001:db8::7", 443, "TCP", True),
        ("169.254.169.254", 443, "TCP", False),  # the cloud's metadata
        ("169.254.169.254", 80, "TCP", False),
        ("10.96.0.1", 443, "TCP", False),  # Kubernetes itself
        ("fd00::1", 443, "TCP", False),
        ("203.0.113.7", 80, "TCP", False),
        ("203.0.113.7", 5432, "TCP", False),
        (POSTGRES, 22, "TCP", False),
        (Pod("databases", {KIND: "redis"}), 5432, "TCP", False),
    ],
)
def test_connections_from_the_service(
    overlay: str, peer: Peer, port: int, protocol: str, expected: bool
) -> None:
    policies, own = pod(overlay, "Deployment")
    assert allowed(policies, own, "Egress", peer, port, protocol) is expected


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_any_other_pod_in_the_namespace_is_isolated(overlay: str, direction: str) -> None:
    policies, own = pod(overlay, "Deployment")
    other = Pod(own.namespace, {KIND: "other"}, own.ports)
    for peer in (INGRESS, PROMETHEUS, DNS, POSTGRES, "203.0.113.7"):
        assert not any(allowed(policies, other, direction, peer, port) for port in (53, 443, 8000))


@pytest.mark.parametrize(
    ("direction", "peer", "port", "expected"),
    [
        ("Ingress", BLACKBOX, 5066, True),
        ("Ingress", PROMETHEUS, 5066, False),
        ("Ingress", Pod("aliaport-logging", {KIND: "filebeat"}), 5066, False),
        ("Egress", DNS, 53, True),
        ("Egress", Pod("elastic", {KIND: "elasticsearch"}), 9200, True),
        ("Egress", "10.1.1.1", 9200, True),
        ("Egress", "203.0.113.7", 443, False),
    ],
)
def test_connections_of_filebeat(direction: str, peer: Peer, port: int, expected: bool) -> None:
    policies, own = pod("logging", "DaemonSet")
    assert allowed(policies, own, direction, peer, port) is expected
