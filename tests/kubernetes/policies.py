"""Evaluates NetworkPolicies by their documented meaning; no network plugin was run."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = dict[str, Any]
NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)


Peer = Pod | str
"""A pod, or an address outside the cluster."""


def allowed(
    policies: list[Policy], own: Pod, direction: str, peer: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Return whether `own` may get connections from (Ingress) or open them to (Egress) the peer."""
    applying = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], own.labels)
    ]
    if not applying:
        return True
    key = "from" if direction == "Ingress" else "to"
    return any(
        _ports_match(rule, own, port, protocol)
        and (key not in rule or any(_peer_matches(entry, own, peer) for entry in rule[key]))
        for spec in applying
        for rule in spec.get(direction.lower(), [])
    )


def _ports_match(rule: Policy, own: Pod, port: int, protocol: str) -> bool:
    return "ports" not in rule or any(
        own.ports.get(entry["port"], entry["port"]) == port and entry["protocol"] == protocol
        for entry in rule["ports"]
    )


def _peer_matches(entry: Policy, own: Pod, peer: Peer) -> bool:
    if "ipBlock" in entry:
        if isinstance(peer, Pod):
            return False  # network plugins differ on whether a pod's address counts
        block, address = entry["ipBlock"], ip_address(peer)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(cidr) for cidr in block.get("except", [])
        )
    if not isinstance(peer, Pod):
        return False
    if "namespaceSelector" in entry:
        if not _selects(entry["namespaceSelector"], {NAMESPACE: peer.namespace}):
            return False
    elif peer.namespace != own.namespace:
        return False
    return _selects(entry.get("podSelector", {}), peer.labels)


def _selects(selector: Policy, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", [])
    )
