"""If `setup` fails, it prints one line, exits with the right code and leaves nothing half done."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.elk.setup_runs import run_on
from tests.elk.stand_in import StandIn

pytestmark = pytest.mark.service


def test_no_key_file_is_left_when_no_key_was_made(
    server: StandIn, elk: Path, password: Path, tmp_path: Path
) -> None:
    server.forbidden = "/_security/api_key"
    key = tmp_path / "key"
    done = run_on(server, elk, password, "--create-filebeat-key", key)
    assert done.code == 1
    assert "403" in done.problem()
    assert not key.exists()


def test_a_wrong_password(server: StandIn, elk: Path, password: Path) -> None:
    password.write_text("wrong")
    done = run_on(server, elk, password)
    assert done.code == 1
    assert f"Elasticsearch at {server.url}: 401" in done.problem()
    assert "check the user, the password or the API key" in done.err


def test_a_user_without_privileges(server: StandIn, elk: Path, password: Path) -> None:
    server.forbidden = "/_index_template"
    done = run_on(server, elk, password)
    assert done.code == 1
    assert "403 to GET _index_template/aliaport-api: action" in done.problem()
    assert "manage_security" in done.err


def test_a_dead_server(server: StandIn, elk: Path, password: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = run_on(server, elk, password, "--elasticsearch", url)
    assert done.code == 1
    assert f"Elasticsearch at {url}: cannot be reached" in done.problem()
    assert "refused" in done.err


def test_a_hanging_server(server: StandIn, elk: Path, password: Path) -> None:
    server.hanging = True
    done = run_on(server, elk, password, "--timeout", 0.5)
    assert done.code == 1
    assert "no response to GET  within 0.5 s" in done.problem()


@pytest.mark.parametrize(
    ("version", "message"), [("9.2.9", "upgrade it to 9.3 or later"), ("", "reports no version")]
)
def test_a_wrong_version(
    server: StandIn, elk: Path, password: Path, version: str, message: str
) -> None:
    server.version = version
    done = run_on(server, elk, password)
    assert done.code == 1
    assert message in done.problem()
    server.version, server.kibana.version = "9.5.1", version
    done = run_on(server, elk, password)
    assert "Kibana at" in done.problem()
    assert message in done.err
    assert server.changes() == []


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"success": False, "successCount": 12}, "did not import the saved objects"),
        (
            {
                "success": False,
                "successCount": 12,
                "errors": [{"type": "lens", "id": "x", "error": {"type": "missing_references"}}],
            },
            "did not import lens/x (missing_references)",
        ),
        ({"success": True, "successCount": 3}, "imported 3 of 13 saved objects"),
    ],
)
def test_kibana_returns_200_but_did_not_import(
    server: StandIn, elk: Path, password: Path, response: dict[str, object], message: str
) -> None:
    server.kibana.failure = response
    done = run_on(server, elk, password)
    assert done.code == 1
    assert message in done.problem()
    assert "dashboard/aliaport" not in done.out


def test_a_dashboard_without_its_reference_is_refused(
    server: StandIn, elk: Path, password: Path
) -> None:
    path = elk / "kibana/aliaport.ndjson"
    lines = [
        line for line in path.read_text().splitlines() if '"id":"aliaport-errors",' not in line[:60]
    ]
    path.write_text("\n".join(lines) + "\n")
    done = run_on(server, elk, password)
    assert done.code == 1
    assert "dashboard/aliaport (missing_references)" in done.problem()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--elasticsearch", "http://elastic:never-show-this@127.0.0.1"), "do not put a password"),
        (("--elasticsearch", "127.0.0.1:9200"), "write the address as https://host:port"),
        (("--kibana", "http://127.0.0.1:port"), "write the address as https://host:port"),
        (("--password-file", "/nowhere"), "/nowhere: cannot be read (No such file or directory)"),
        (("--ca", "/nowhere"), "/nowhere: is not a PEM file of certificates"),
        (
            ("--create-filebeat-key", "/nowhere/key"),
            "must be a new file in an existing folder",
        ),
    ],
)
def test_a_wrong_command(
    server: StandIn, elk: Path, password: Path, arguments: tuple[str, str], message: str
) -> None:
    done = run_on(server, elk, password, *arguments)
    assert done.code == 2
    assert message in done.problem()
    assert server.requests == []


def test_tls_is_checked(
    elk: Path, password: Path, tmp_path: Path, cannot_run: Callable[[str, str], NoReturn]
) -> None:
    if shutil.which("openssl") is None:
        cannot_run("test_tls_is_checked", "needs openssl")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=stand-in", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", certificate, "-keyout", key],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with StandIn(context) as server:
        done = run_on(server, elk, password)
        assert done.code == 1
        assert "its certificate is not trusted" in done.problem()
        assert "--ca" in done.err
        assert run_on(server, elk, password, "--ca", certificate).code == 0
