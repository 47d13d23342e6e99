"""The compose file declares what it names, publishes nothing to the world and contains no secret."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[2] / "deploy/elk/docker-compose.elk.yml"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = ("elasticsearch", "kibana", "filebeat")


def volumes(service: str) -> dict[str, str]:
    """Return the mounted volumes by their path in the container."""
    found = {}
    for mount in SERVICES[service].get("volumes", []):
        source, target = re.fullmatch(r"(\$\{[^}]*\}|[^:]+):([^:]+)(?::ro)?", mount).groups()  # type: ignore[union-attr]
        found[target] = source
    return found


def test_e6_the_images_have_one_pinned_version_9() -> None:
    versions = {service["image"].rpartition(":")[2] for service in SERVICES.values()}
    assert len(versions) == 1, f"different versions: {versions}"
    major, minor, _patch = map(int, versions.pop().split("."))
    assert (major, minor) >= (9, 3)


def test_e5_security_and_tls_are_on() -> None:
    environment = SERVICES["elasticsearch"]["environment"]
    for layer in ("", ".http.ssl", ".transport.ssl"):
        assert environment[f"xpack.security{layer}.enabled"] == "true"
    kibana = SERVICES["kibana"]["environment"]
    assert kibana["SERVER_SSL_ENABLED"] == "true"
    assert kibana["ELASTICSEARCH_HOSTS"].startswith("https://")
    assert kibana["ELASTICSEARCH_USERNAME"] == "kibana_system"


def test_no_password_is_written_down_or_has_a_default() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or "ENCRYPTION" in key:
                assert re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value), f"{name}: {key}"
    assert "ELASTIC_API_KEY" not in SERVICES["filebeat"].get("environment", {}), (
        "`docker inspect` shows the environment; the key belongs in a secret"
    )


def test_e7_the_registry_of_filebeat_is_on_a_volume() -> None:
    source = volumes("filebeat")["/usr/share/filebeat/data"]
    assert source in COMPOSE["volumes"], "a new container would send every line again"


def test_e8_the_owner_of_the_configuration_does_not_stop_filebeat() -> None:
    assert "--strict.perms=false" in SERVICES["filebeat"]["command"][-1]
    assert (
        "./elk/filebeat.yml:/usr/share/filebeat/filebeat.yml:ro" in SERVICES["filebeat"]["volumes"]
    )


def test_the_logs_are_read_only() -> None:
    assert "${ALIAPORT_LOGS:-aliaport_logs}:/app/logs:ro" in SERVICES["filebeat"]["volumes"]


@pytest.mark.parametrize("service", LASTING)
def test_e12_memory_is_limited_and_health_is_checked(service: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[service]["mem_limit"])
    assert {"test", "interval", "timeout", "retries"} <= SERVICES[service]["healthcheck"].keys()
    assert SERVICES[service]["restart"] == "unless-stopped"


def test_e12_the_heap_is_half_of_the_memory() -> None:
    heap = re.fullmatch(
        r"-Xms(\d+)g -Xmx(\d+)g", SERVICES["elasticsearch"]["environment"]["ES_JAVA_OPTS"]
    )
    assert heap is not None
    assert heap[1] == heap[2]
    assert int(heap[1]) * 2 == int(SERVICES["elasticsearch"]["mem_limit"].removesuffix("g"))


def test_e12_all_volumes_and_networks_are_declared() -> None:
    sources = [source for name in SERVICES for source in volumes(name).values()]
    # If a variable may replace a volume by a folder, the default names the volume.
    named = {re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", source) for source in sources if source[0] != "."}
    assert named == set(COMPOSE["volumes"])
    assert "elasticsearch_data" in named
    assert {net for service in SERVICES.values() for net in service["networks"]} == {
        "aliaport-network"
    }
    assert set(COMPOSE["networks"]) == {"aliaport-network"}
    assert set(SERVICES["filebeat"]["secrets"]) == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= SERVICES.keys()


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_shells_get_their_variables_and_compose_does_not() -> None:
    for name, service in SERVICES.items():
        for script in service.get("command", []):
            assert not re.search(r"(?<!\$)\$[A-Za-z(]", script), (
                f"{name}: a $ that compose would expand"
            )


@pytest.mark.service
def test_the_shell_scripts_are_complete() -> None:
    scripts = [service["command"][-1] for service in SERVICES.values() if "command" in service]
    assert len(scripts) == 3
    for script in scripts:
        done = subprocess.run(
            ["bash", "-n"],
            input=script.replace("$$", "$"),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
