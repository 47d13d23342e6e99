"""Rules for each service of each file: pinned, restricted, limited, monitored."""

import re

from aliaport import __version__
from tests.compose.files import COMPOSE, ROOT, Service, each_file, each_service, seconds, service

MIN_REASON = 20
"""Characters that a reason must have, so that it is one."""


@each_service
def test_g1_the_image_has_a_fixed_tag(service: Service) -> None:
    if service.name == "backend":
        assert service.get("image") == f"${{ALIAPORT_IMAGE:-aliaport:{__version__}}}"
        return
    name, _, tag = service.get("image").rpartition(":")
    assert name, "no tag means latest"
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-[a-z]+)?", tag), f"{tag} is not a single version"


@each_service
def test_g1_ports_are_open_to_this_machine_only(service: Service) -> None:
    for port in service.values.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), port
    assert service.get("network_mode") is None, "it would open the machine's own ports"


@each_service
def test_g4_the_root_is_read_only_or_says_why_not(service: Service) -> None:
    if service.get("read_only") is not True:
        assert len(service.values.get("x-writable-root", "")) > MIN_REASON
    else:
        assert "x-writable-root" not in service.values


@each_service
def test_g4_it_has_only_the_rights_that_it_needs(service: Service) -> None:
    assert service.get("cap_drop") == ["ALL"]
    assert service.get("security_opt") == ["no-new-privileges:true"]
    assert service.get("privileged") is None
    root = service.get("user") == "root"
    assert root or not service.get("cap_add"), (
        "only services that run as root get capabilities back"
    )


@each_service
def test_g4_the_user_is_numeric_and_not_root(service: Service) -> None:
    """Except Elastic's, whose images have their own users, and where files of others are read."""
    if service.file.startswith("elk/"):
        assert service.get("user") in (None, "root")
        assert service.get("user") is None or service.get("cap_add")
        return
    account, _, group = service.get("user").partition(":")
    assert int(account) > 0
    assert group.isdecimal()


@each_service
def test_g4_its_memory_processors_and_processes_are_limited(service: Service) -> None:
    assert re.fullmatch(r"\d+[mg]", service.get("mem_limit"))
    assert 0 < float(service.get("cpus")) <= 2
    assert 0 < service.get("pids_limit") <= 4096


@each_service
def test_g4_its_logs_are_rotated(service: Service) -> None:
    logging = service.get("logging")
    assert logging["driver"] == "json-file"
    assert re.fullmatch(r"\d+m", logging["options"]["max-size"])
    assert int(logging["options"]["max-file"]) > 1


@each_service
def test_g4_it_restarts_and_has_a_health_check(service: Service) -> None:
    if service.runs_once:
        assert service.get("healthcheck") is None
        return
    assert service.get("restart") == "unless-stopped"
    health = service.get("healthcheck")
    assert health["test"]
    assert seconds(health["timeout"]) <= seconds(health["interval"])
    assert health["retries"] > 1, "one late response is not a failure"
    assert seconds(health["start_period"]) > 0
    assert "localhost" not in str(health["test"]) or service.file.startswith("elk/"), (
        "localhost may be ::1, which it does not listen on"
    )


@each_service
def test_g4_it_waits_until_others_are_healthy(service: Service) -> None:
    for name, condition in service.values.get("depends_on", {}).items():
        other = COMPOSE[service.file]["services"][name]
        wanted = "service_completed_successfully" if other["restart"] == "no" else "service_healthy"
        assert condition == {"condition": wanted}, name


def test_the_watchers_do_not_wait_for_what_they_watch() -> None:
    waiting = {
        name: set(values.get("depends_on", ()))
        for name, values in COMPOSE["docker-compose.monitoring.yml"]["services"].items()
    }
    assert {name: services for name, services in waiting.items() if services} == {
        "grafana": {"prometheus"}
    }


@each_file
def test_all_files_are_one_project(file: str) -> None:
    assert COMPOSE[file]["name"] == "aliaport", (
        "otherwise Compose names the project after the folder"
    )


def test_the_database_logs_slow_statements_and_is_checked_over_tcp() -> None:
    db = service("db")
    assert "log_min_duration_statement=1000" in db.get("command")
    health = db.get("healthcheck")["test"]
    assert health[:2] == ["CMD", "pg_isready"]
    assert "--host=127.0.0.1" in health, (
        "its socket accepts connections while the roles are still missing"
    )
    assert "--username=aliaport" in health
    assert db.get("stop_signal") == "SIGINT", "a fast shutdown; SIGTERM waits for every client"
    assert not db.get("ports")


def test_the_health_check_and_user_of_the_service_match_its_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    backend = service("backend").get("healthcheck")
    for option in ("interval", "timeout", "retries"):
        assert f"--{option}={backend[option]}" in dockerfile
    assert f"--start-period={backend['start_period']}" in dockerfile
    quoted = ", ".join(f'"{word}"' for word in backend["test"][1:])
    assert f"CMD [{quoted}]" in dockerfile
    assert f"\nUSER {service('backend').get('user')}\n" in dockerfile
