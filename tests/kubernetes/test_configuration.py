"""The service accepts the pod's configuration, and runs and stops as the manifests expect."""

import json
import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from aliaport.service import stop_timeout
from tests.kubernetes.render import KUBERNETES, build, one, pod_spec
from tests.kubernetes.service_side import DOCKERFILE, Mounted, container, settings
from tests.support.fixtures import Launch
from tests.support.postgres import TcpPostgres
from tests.support.service import Service, free_port

ENVIRONMENTS = ("staging", "production")
NOWHERE = "https://key@127.0.0.1:9/1"
"""A Sentry that cannot be reached."""


@pytest.mark.service
@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_configuration_is_valid(overlay: str, tmp_path: Path) -> None:
    # The ports of this machine may be in use.
    free = {"ALIAPORT_PORT": "0", "ALIAPORT_INTERNAL_PORT": "0"}
    environment = {"PATH": os.environ["PATH"], **Mounted(overlay, tmp_path).environment, **free}
    done = subprocess.run(
        [sys.executable, "-m", "aliaport", "config", "check", "--json"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"problems": [], "findings": [], "warnings": []}, done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_pod_gets_the_intended_settings(overlay: str, tmp_path: Path) -> None:
    given = settings(overlay, tmp_path)
    ports = {port["name"]: port["containerPort"] for port in container(overlay)["ports"]}
    assert given.environment == overlay
    assert {"http": given.port, "internal": given.internal_port} == ports
    assert (given.host, given.internal_host) == ("0.0.0.0", "0.0.0.0")
    assert given.database_url is not None
    assert given.sentry_dsn is not None
    assert given.status_token_file is not None
    assert given.log.stdout


def test_the_plugins_match_the_image() -> None:
    image = tomllib.loads((KUBERNETES.parent / "aliaport.toml").read_text())
    pods = tomllib.loads((KUBERNETES / "base/aliaport.toml").read_text())
    assert pods["selection"] == image["selection"]
    assert pods["selection"]["required"] == ["*"]


def test_the_monitored_disk_is_writable() -> None:
    """Check the mounts: the disk plugin would take the read-only root for a broken disk."""
    pods = tomllib.loads((KUBERNETES / "base/aliaport.toml").read_text())
    mounts = {
        mount["mountPath"]
        for mount in container("production")["volumeMounts"]
        if not mount.get("readOnly")
    }
    assert set(pods["plugins"]["disk"]["mounts"]) <= mounts
    assert container("production")["securityContext"]["readOnlyRootFilesystem"]


@pytest.fixture
def mounted(tmp_path: Path, database: str) -> Mounted:
    pod = tmp_path / "pods/0f3e4a52-uid"
    return Mounted("production", pod, **{"database-url": database, "sentry-dsn": NOWHERE})


@pytest.fixture
def running(launch: Launch, mounted: Mounted) -> Service:
    """Start the pod's command in its environment; only addresses and the drain differ here."""
    assert 'ENTRYPOINT ["aliaport"]' in DOCKERFILE
    assert container("production")["args"] == ["serve"]
    service = launch(
        environ=mounted.environment
        | {
            "ALIAPORT_SELECTION__ALLOW": "",
            "ALIAPORT_HOST": "127.0.0.1",
            "ALIAPORT_INTERNAL_PORT": str(free_port()),
            "ALIAPORT_DRAIN_SECONDS": "1",
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": "http://127.0.0.1:9/kurlar",
        },
        wait="listening",
    )
    timeout = container("production")["readinessProbe"]["timeoutSeconds"]
    service.wait_for(lambda: service.get("/ready", timeout=timeout).status == 200, "it is ready")
    return service


def test_the_pods_command_serves_drains_and_leaves_its_logs_to_filebeat(
    running: Service, mounted: Mounted, tmp_path: Path, server: TcpPostgres
) -> None:
    inside = running.internal_port
    for path in ("/metrics", "/status"):
        assert running.get(path).status == 404, f"{path} is open to the public"
        assert running.get(path, port=inside).status == 200
    token = {"Authorization": f"Bearer {mounted.secrets['status-token']}"}
    shown = running.get("/status", port=inside, headers=token).json["data"]
    assert shown["environment"] == "production"
    allowed = tomllib.loads((KUBERNETES / "base/aliaport.toml").read_text())["selection"]["allow"]
    assert {row["name"] for row in shown["plugins"]} == set(allowed)

    running.signal()
    leaving = running.wait_for(lambda: running.get("/ready").status == 503, "it drains")
    assert leaving
    assert running.get("/health").status == 200, "a leaving replica still serves"
    given = settings("production", tmp_path / "again")
    grace = pod_spec(one(build("production"), "Deployment"))["terminationGracePeriodSeconds"]
    rest = stop_timeout(given) - given.drain_seconds
    assert grace - given.drain_seconds > rest
    assert running.wait_ended(1 + rest) == 0

    names = {file.name for file in mounted.of("/app/logs").iterdir()}
    assert {"app.log", "api.log", "error.log", "audit.log"} <= names
    config = yaml.safe_load(one(build("logging"), "ConfigMap")["data"]["filebeat.yml"])
    paths = [path for entry in config["filebeat.inputs"] for path in entry["paths"]]
    here = [path.replace("/var/log/aliaport-pods", str(tmp_path / "pods")) for path in paths]
    shipped = {
        file.name
        for file in (tmp_path / "pods").rglob("*")
        if any(fnmatch(str(file), path) for path in here)
    }
    assert {name for name in names if ".log" in name and not name.startswith(".")} == shipped
