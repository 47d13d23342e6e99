"""Secrets are files, created once and private; variables are required or have a default."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from aliaport.settings import core_settings, read_sources
from tests.compose.files import (
    COMPOSE,
    DEPLOY,
    FILES,
    SERVICES,
    TEXTS,
    Service,
    each_file,
    each_service,
    example,
    variables,
)

SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|ENCRYPTION|WEBHOOK|DATABASE_URL|CREDENTIALS|_PASS\b")
CREATE = DEPLOY / "secrets/create"


@each_service
def test_g2_no_secret_is_in_the_environment(service: Service) -> None:
    for key, value in service.environment.items():
        if not SECRET.search(key):
            continue
        if re.search(r"_FILE$", key):
            assert value.removeprefix("/run/secrets/") in service.secrets(), key
            continue
        assert len(service.values.get("x-secrets-in-environment", "")) > 10, (
            f"{key} without a reason"
        )
        assert re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value), f"{key} has a default"


@each_file
def test_g2_each_secret_is_a_file_without_a_default(file: str) -> None:
    for name, secret in COMPOSE[file]["secrets"].items():
        if file.startswith("elk/"):
            assert re.fullmatch(r"\$\{[A-Z_]+_FILE:-\./elk/[\w-]+\}", secret["file"])
            continue
        assert set(secret) == {"file"}, (
            f"{name}: only files reach a container whose root is read-only"
        )
        ((variable, operator, reason),) = variables(secret["file"])
        assert variable == f"{name.upper()}_FILE"
        assert (operator, bool(reason)) == (":?", True)


@each_file
def test_each_variable_has_a_default_or_is_required(file: str) -> None:
    for name, operator, text in variables(TEXTS[file]):
        assert operator in (":-", ":?"), f"{name}: empty and unset should be the same"
        assert operator == ":-" or text, f"{name}: describe it"


def test_the_example_lists_each_variable_and_only_those() -> None:
    used = {name for text in TEXTS.values() for name, _, _ in variables(text)}
    assert used | {"COMPOSE_FILE"} == set(example())


def test_the_example_holds_no_secret() -> None:
    for name, value in example().items():
        if SECRET.search(name) and not name.endswith("_FILE"):
            assert value == "", name
    files = example()["COMPOSE_FILE"].split(":")
    assert files == list(FILES[: len(files)])


@pytest.mark.service
def test_git_tracks_the_example_and_ignores_copies_of_it(tmp_path: Path) -> None:
    """Query git itself, in a repository with the same rules."""
    for rules in (".gitignore", "deploy/.gitignore", "deploy/secrets/.gitignore"):
        target = tmp_path / rules
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DEPLOY.parent / rules, target)
    for name in (".env.production", ".env.production.example", "secrets/create", *made()):
        (tmp_path / "deploy" / name).touch()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    kept = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "deploy"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert set(kept) == {
        *("deploy/.gitignore", "deploy/secrets/.gitignore"),
        *("deploy/.env.production.example", "deploy/secrets/create"),
    }


def test_no_secret_gets_into_the_image() -> None:
    rules = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[1] == "*"
    copied = {
        source
        for line in re.findall(
            r"^COPY (?!--from)(.*)$", (DEPLOY.parent / "Dockerfile").read_text(), re.MULTILINE
        )
        for source in line.split()[:-1]
    }
    assert set(allowed) == copied, "the context contains only what is copied"


def made() -> set[str]:
    """Return the files that the example expects from secrets/create, below deploy/."""
    return {
        value.removeprefix("./") for value in example().values() if value.startswith("./secrets/")
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "secrets"
    target.mkdir()
    shutil.copy(CREATE, target)
    return target


def create(folder: Path, **environ: str) -> str:
    done = subprocess.run(
        [str(folder / "create")], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=30, env={"PATH": os.environ["PATH"], **environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.service
def test_create_writes_the_files_of_the_example_into_a_private_folder(folder: Path) -> None:
    create(folder)
    assert {f"secrets/{file.name}" for file in folder.iterdir()} == {*made(), "secrets/create"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in made():
        mode = stat.S_IMODE((folder.parent / name).stat().st_mode)
        assert mode == 0o444, "each container reads it as a different user"


@pytest.mark.service
def test_the_service_starts_with_the_created_secrets(folder: Path) -> None:
    create(folder)
    settings = core_settings(
        read_sources(
            {
                "ENVIRONMENT": "production",
                "DATABASE_URL_FILE": str(folder / "database_url"),
                "ALIAPORT_STATUS_TOKEN_FILE": str(folder / "status_token"),
            }
        )
    )
    assert settings.database_url is not None
    assert re.fullmatch(
        r"postgresql://aliaport:[0-9a-f]{48}@db:5432/aliaport",
        settings.database_url.get_secret_value(),
    )
    token = (folder / "status_token").read_text().strip()
    assert len(token) >= 16


@pytest.mark.service
def test_create_never_changes_existing_files(folder: Path) -> None:
    create(folder)
    before = {file.name: file.read_text() for file in folder.iterdir()}
    output = create(folder, GRAFANA_PASSWORD="another", SLACK_WEBHOOK="https://another.example.org")
    assert before == {file.name: file.read_text() for file in folder.iterdir()}
    assert "created" not in output


@pytest.mark.service
def test_create_accepts_the_specified_variables_and_prints_no_secret(folder: Path) -> None:
    output = create(
        folder, GRAFANA_PASSWORD="of the admin", SLACK_WEBHOOK="https://hook.example.org/x",
        SMS_NUMBER="+905550000000",
    )  # fmt: skip
    created = sorted(line.removeprefix("created ") for line in output.splitlines())
    assert created == sorted(name.removeprefix("secrets/") for name in made()), "each file once"
    assert (folder / "grafana_password").read_text() == "of the admin\n"
    assert (folder / "slack_webhook").read_text() == "https://hook.example.org/x\n"
    assert (folder / "recipients.tmpl").read_text() == (
        '{{ define "aliaport.sms.phone_number" }}+905550000000{{ end }}\n'
    )
    for file in folder.iterdir():
        if file.name not in ("create", "recipients.tmpl"):
            assert file.read_text().strip() not in output or not file.read_text().strip()


@pytest.mark.service
def test_no_two_passwords_are_the_same(folder: Path) -> None:
    create(folder)
    drawn = [
        (folder / name).read_text()
        for name in ("postgres_password", "exporter_password", "status_token", "grafana_password")
    ]
    assert len(set(drawn)) == len(drawn)


def test_every_secret_is_documented_with_the_services_that_get_it() -> None:
    readme = (DEPLOY / "secrets/README.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \| .* \| ([\w, -]+) \|$", readme, re.MULTILINE)
    documented = {
        name: set(readers.split(", "))
        for names, readers in rows
        for name in re.findall(r"`([\w.]+)`", names)
    }
    assert set(documented) == {name.removeprefix("secrets/") for name in made()}
    for name, readers in documented.items():
        secret = name.removesuffix(".tmpl")
        using = {service.name for service in SERVICES if secret in service.secrets().values()}
        assert using == readers, name
