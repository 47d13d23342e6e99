"""Sources of settings, their precedence, and how problems are reported."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import HttpUrl, SecretStr, ValidationError, model_validator

from aliaport.errors import ConfigError
from aliaport.plugin import PluginConfig
from aliaport.redaction import redact
from aliaport.settings import (
    Settings,
    core_settings,
    describe,
    environment_warnings,
    masked,
    plugin_config,
    read_sources,
    unknown_probes,
    unknown_tables,
)


class Inner(PluginConfig):
    key: SecretStr | None = None


class Options(PluginConfig):
    names: tuple[str, ...] = ()
    limit: float = 1.0
    inner: Inner = Inner()
    password: SecretStr | None = None


def settings(environ: dict[str, str] | None = None, config: Path | None = None) -> Settings:
    return core_settings(read_sources(environ or {}, config))


def problems(environ: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        settings(environ, config)
    return str(raised.value)


@pytest.mark.parametrize(
    ("environment", "host", "drain"),
    [
        ("development", "127.0.0.1", 0),
        ("test", "127.0.0.1", 0),
        ("staging", "0.0.0.0", 5),
        ("production", "0.0.0.0", 5),
    ],
)
def test_defaults_follow_the_environment(environment: str, host: str, drain: float) -> None:
    found = settings({"ENVIRONMENT": environment})
    assert (found.host, found.drain_seconds, found.port) == (host, drain, 8000)


def test_the_environment_wins_over_the_file_and_the_env_file(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text('port = 1\ndrain_seconds = 7\n[log]\nlevel = "error"\nfolder = "x"\n')
    dotenv = tmp_path / ".env.production"
    dotenv.write_text("ALIAPORT_PORT=2\nENVIRONMENT=production\nALIAPORT_LOG__FOLDER='y z'\n")
    sources = read_sources({"ALIAPORT_PORT": "3", "ALIAPORT_CONFIG": str(toml)}, None, dotenv)
    found = core_settings(sources)
    assert (found.port, found.drain_seconds, found.environment) == (3, 7, "production")
    assert (found.log.level, str(found.log.folder)) == ("error", "y z")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_may_have_a_byte_order_mark_and_any_line_ends(tmp_path: Path, newline: str) -> None:
    def write(name: str, *lines: str) -> Path:
        file = tmp_path / name
        file.write_bytes(("\ufeff" + newline.join((*lines, ""))).encode())
        return file

    toml = write("a.toml", "port = 7", "[log]", 'level = "error"')
    dotenv = write("a.env", "ENVIRONMENT=staging  ", "ALIAPORT_HOST='::1'")
    secret = write("url", "postgresql://h/name")
    found = core_settings(read_sources({"DATABASE_URL_FILE": str(secret)}, toml, dotenv))
    assert (found.port, found.log.level) == (7, "error")
    assert (found.environment, found.host) == ("staging", "::1")
    assert found.database_url is not None
    assert found.database_url.get_secret_value() == "postgresql://h/name"


def test_a_carriage_return_is_not_part_of_a_variable() -> None:
    found = settings(
        {"ENVIRONMENT": "staging\r", "ALIAPORT_HOST": "::1\r\n", "ALIAPORT_PORT": "\r"}
    )
    assert (found.environment, found.host, found.port) == ("staging", "::1", 8000)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A=1\nSECRET: geheim\n", [2]),
        ("\n\n\n  SECRET geheim\nA=1\n=geheim\n", [4, 6]),
        ("A='1'\r\nB='geheim\r\nC=3\r\nD=4 \r\n E \"geheim\r\n", [2, 5]),
    ],
)
def test_lines_of_an_env_file_that_cannot_be_parsed_are_named(
    tmp_path: Path, text: str, lines: list[int]
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(text.encode())
    with pytest.raises(ConfigError) as raised:
        read_sources({}, None, file)
    assert "geheim" not in str(raised.value)
    for line in lines:
        assert f"{file}: line {line}: must be NAME=value" in str(raised.value)
    assert len(raised.value.problems) == len(lines)


def test_an_env_file_may_have_names_without_values_comments_and_exports(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text('# of Docker\nHOME\nexport ENVIRONMENT="staging" # here\nALIAPORT_HOST=\n')
    found = core_settings(read_sources({}, None, file))
    assert found.environment == "staging"


@pytest.mark.parametrize("text", ['["db", "disk"]', "db, disk", "db,disk,"])
def test_lists_are_json_or_separated_by_commas(text: str) -> None:
    assert settings({"ALIAPORT_SELECTION__REQUIRED": text}).selection.required == ("db", "disk")


def test_every_problem_is_in_one_message(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text('prot = 1\n[log]\nlevl = "x"\n[probes.a]\ntimeout = 90\n')
    message = problems(
        {
            "ENVIRONMENT": "prod",
            "ALIAPORT_DRAIN_SECONDS": "-3",
            "DATABASE_URL": "postgresql+asyncpg://u:geheim@h/d",
            "ALIAPORT_STATUS_TOKEN": "short",
        },
        toml,
    )
    for part in (
        "7 configuration problems",
        f"{toml}: prot: there is no option 'prot'; did you mean 'port'?",
        f"{toml}: log.levl: there is no option 'levl'; did you mean 'level'?",
        f"{toml}: probes.a.timeout",
        "ENVIRONMENT: environment",
        "ALIAPORT_DRAIN_SECONDS: drain_seconds: must not be negative",
        "DATABASE_URL: database_url: starts with 'postgresql+asyncpg'",
        "ALIAPORT_STATUS_TOKEN: status_token: a token must have at least 16 characters",
    ):
        assert part in message
    assert "geheim" not in message


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT: environment: must be 'development', 'test', "),
        ({"ALIAPORT_PORT": "abc"}, "ALIAPORT_PORT: port: must be a valid integer"),
        ({"ALIAPORT_SELECTION": "disk"}, "ALIAPORT_SELECTION: selection: must be a table: ["),
        (
            {"ALIAPORT_TRUSTED_PROXIES": "10.0.0.300"},
            "ALIAPORT_TRUSTED_PROXIES: trusted_proxies.0: must be a network, such as 10.0.0.0/8",
        ),
    ],
)
def test_wrong_values_are_reported_in_plain_words(environ: dict[str, str], problem: str) -> None:
    (found,) = problems(environ).splitlines()[1:]
    assert found.strip().startswith(f"- {problem}")
    assert "pars" not in found


def test_a_missing_option_is_reported_with_the_places_to_set_it() -> None:
    class Server(PluginConfig):
        name: str

    class Required(PluginConfig):
        server: Server
        others: tuple[Server, ...] = ()

    environ = {
        "ALIAPORT_PLUGINS__THING__SERVER": "{}",
        "ALIAPORT_PLUGINS__THING__OTHERS": "[{}]",
    }
    with pytest.raises(ConfigError) as raised:
        plugin_config(read_sources(environ), "plugins", "thing", Required)
    assert list(raised.value.problems) == [
        "ALIAPORT_PLUGINS__THING__SERVER: plugins.thing.server.name: is required; "
        "set ALIAPORT_PLUGINS__THING__SERVER__NAME, or name in [plugins.thing.server]",
        "ALIAPORT_PLUGINS__THING__OTHERS: plugins.thing.others.0.name: is required",
    ]


def test_broken_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "b.toml"
    broken.write_text("port = \n")
    assert "is not valid TOML" in problems({}, broken)
    assert "No such file" in problems({}, tmp_path / "absent.toml")


def test_plugin_options_with_nesting_secrets_and_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    environ = {
        "ALIAPORT_PLUGINS__THING__NAMES": "a,b",
        "ALIAPORT_PLUGINS__THING__INNER__KEY_FILE": str(secret),
        "ALIAPORT_PLUGINS__THING__PASSWORD": "open",
    }
    found = plugin_config(read_sources(environ), "plugins", "thing", Options)
    assert isinstance(found, Options)
    assert found.names == ("a", "b")
    assert found.inner.key == SecretStr("from a file")
    assert masked(found)["inner"] == {"key": "***"}
    environ["ALIAPORT_PLUGINS__THING__PASSWORD_FILE"] = str(secret)
    environ["ALIAPORT_PLUGINS__THING__LIMT"] = "3"
    with pytest.raises(ConfigError) as raised:
        plugin_config(read_sources(environ), "plugins", "thing", Options)
    assert "PASSWORD is set too" in str(raised.value)
    assert "did you mean 'limit'?" in str(raised.value)


def test_unknown_names_are_found_in_all_sources(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text("[plugins.dsk]\n[apps.x]\n[probes.y]\n")
    sources = read_sources({"ALIAPORT_PLUGINS__CPUU__A": "1", "ALIAPORT_DRAIN_SECOND": "1"}, toml)
    found = unknown_tables(sources, ["disk", "cpu"], [])
    assert any("did you mean 'disk'?" in problem for problem in found)
    assert any("ALIAPORT_PLUGINS__CPUU__A" in problem and "'cpu'?" in problem for problem in found)
    assert any("[apps.x]" in problem for problem in found)
    assert unknown_probes(sources, ["z"]) == [
        f"{toml}: [probes.y]: there is no probe 'y'; there are: z"
    ]
    assert environment_warnings(sources) == [
        "ALIAPORT_DRAIN_SECOND: nothing reads this variable; did you mean ALIAPORT_DRAIN_SECONDS?"
    ]


def test_everything_installed_may_be_configured(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text("[plugins.disk]\n[apps.greeter]\n[probes.good]\n")
    environ = {"ALIAPORT_PLUGINS__DISK__MOUNTS": "/", "ALIAPORT_PROBES__GOOD__TIMEOUT": "1"}
    sources = read_sources(environ, toml)
    assert unknown_tables(sources, ["disk"], ["greeter"]) == []
    assert unknown_probes(sources, ["good"]) == []
    assert environment_warnings(sources) == []


def test_a_plugin_s_options_must_be_a_table(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text("[plugins]\nthing = 1\n")
    with pytest.raises(ConfigError, match=r"plugins\.thing: must be a table: \[plugins\.thing\]"):
        plugin_config(read_sources({}, toml), "plugins", "thing", Options)


def test_an_unknown_option_of_a_probe_has_a_hint(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text("[probes.good]\ntimeuot = 1\n")
    hint = "probes.good.timeuot: there is no option 'timeuot'; did you mean 'timeout'?"
    assert hint in problems({}, toml)


def test_an_error_of_a_model_validator_names_the_plugin() -> None:
    class Ordered(PluginConfig):
        low: int = 2
        high: int = 1

        @model_validator(mode="after")
        def _ordered(self) -> "Ordered":
            if self.low > self.high:
                raise ValueError("low must not be above high")
            return self

    with pytest.raises(ConfigError, match=r"plugins\.thing: low must not be above high"):
        plugin_config(read_sources({}), "plugins", "thing", Ordered)
    low = {"ALIAPORT_PLUGINS__THING__LOW": "3"}
    with pytest.raises(ConfigError, match=r"__THING__LOW: plugins\.thing: low must not be above"):
        plugin_config(read_sources(low), "plugins", "thing", Ordered)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "is not UTF-8 text")]
)
def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    assert f"{file}: {reason}" in problems({}, file), "the configuration"
    assert f"{file}: {reason}" in problems({"DATABASE_URL_FILE": str(file)}), "a secret"
    with pytest.raises(ConfigError, match=reason):
        read_sources({}, None, file)


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("DATABASE_URL_FILE", "postgresql://user:geheim@db/name"),
        ("SENTRY_DSN_FILE", "https://geheim@sentry.example.org/1"),
        ("SENTRY_DSN_FILE", "geheim" * 1000),
    ],
)
def test_a_secret_in_place_of_the_path_of_its_file_is_not_shown(variable: str, secret: str) -> None:
    message = problems({variable: secret})
    assert f"{variable}: (not shown, since it may be the secret itself): " in message
    assert "geheim" not in message


def test_a_variable_with_the_prefix_wins_over_the_usual_name() -> None:
    environ = {"ENVIRONMENT": "staging", "ALIAPORT_ENVIRONMENT": "production"}
    assert settings(environ).environment == "production"
    assert settings({"ENVIRONMENT": "staging", "ALIAPORT_ENVIRONMENT": ""}).environment == "staging"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("db.example/name", "does not start with postgresql://"),
        ("x" * 30 + "://db/name", "does not start with postgresql://"),
        ("mysql://db/name", "starts with 'mysql'"),
        ("postgresql://user:geheim@db:port/name", "has a wrong port"),
        ("postgresql://user:geheim@[db/name", "has a [ without a ]"),
    ],
)
def test_invalid_database_urls(url: str, said: str) -> None:
    message = problems({"DATABASE_URL": url})
    assert f"DATABASE_URL: database_url: {said}" in message
    assert "geheim" not in message


def test_a_dsn_of_sentry_is_checked_and_not_shown() -> None:
    assert settings({"SENTRY_DSN": "https://key@sentry.example/1"}).sentry_dsn is not None
    message = problems({"SENTRY_DSN": "https://geheim@sentry.example/project-id"})
    assert "SENTRY_DSN: sentry_dsn: does not end with a project number" in message
    assert "geheim" not in message


@pytest.mark.parametrize(
    ("environment", "open_to_all"),
    [("development", True), ("test", True), ("staging", False), ("production", False)],
)
def test_only_development_and_test_show_everything_to_everybody(
    environment: str, *, open_to_all: bool
) -> None:
    assert settings({"ENVIRONMENT": environment}).open is open_to_all


def test_settings_must_be_a_table() -> None:
    with pytest.raises(ValidationError, match="valid dictionary or instance of Settings"):
        Settings.model_validate(["port", 8000])


def test_every_option_is_described() -> None:
    rows = describe()
    assert {"port", "log.folder", "probes.<name>.critical"} <= {row.key for row in rows}
    assert all(row.description.endswith(".") for row in rows)


def test_shown_settings_contain_no_secret() -> None:
    found = settings(
        {
            "DATABASE_URL": "postgres://user:geheim@host:1/name?sslpassword=geheim2",
            "ALIAPORT_STATUS_TOKEN": "geheimgeheimgeheim",
        }
    )
    shown = str(masked(found))
    assert "geheim" not in shown
    assert "user:***@host:1/name?sslpassword=***" in shown


class Linked(PluginConfig):
    source: str = ""
    url: SecretStr = SecretStr("")


class Access(PluginConfig):
    password: str = "geheim"
    api_keys: tuple[str, ...] = ("geheim",)
    source: HttpUrl = HttpUrl("https://user:geheim@host/x")
    require_token: bool = True
    token_file: Path = Path("/run/secrets/token")
    token: str = ""
    tokens: dict[str, str] = {"a": "b"}


def test_only_secrets_are_masked_and_those_of_text_too() -> None:
    shown = masked(Access())
    assert "geheim" not in str(shown)
    assert shown["source"] == "https://user:***@host/x"
    assert (shown["require_token"], shown["token"]) == (True, "")
    assert (shown["token_file"], shown["tokens"]) == ("/run/secrets/token", {"a": "b"})
    every = settings(
        {
            "ENVIRONMENT": "production",
            "ALIAPORT_METRICS_AUTH": "true",
            "ALIAPORT_STATUS_TOKEN": "geheimgeheimgeheim",
            "ALIAPORT_STATUS_TOKEN_FILE": "/run/secrets/tokens",
            "SENTRY_DSN": "https://geheim@host/1",
            "DATABASE_URL": "postgresql://user:geheim@host/x",
        }
    )
    hidden = {name for name, value in masked(every).items() if "***" in str(value)}
    assert hidden == {"database_url", "sentry_dsn", "status_token"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:it's-geheim@db/x", "amqp://u:***@db/x"),
        ('amqp://u:"geheim, "@db/x', "amqp://u:***@db/x"),
        ("amqp://u:my geheim @ pass@db:5432/x", "amqp://u:***@db:5432/x"),
        ("amqp://o'neil:geheim@db/x", "amqp://o'neil:***@db/x"),
        ("amqp://my user:geheim@db/x", "amqp://my user:***@db/x"),
        ("amqp://u:12/geheim@h", "amqp://u:***@h"),
        ("amqp://u:12?geheim=://@h", "amqp://u:***@h"),
        ("amqp://u@h/x?password=it's geheim&sslmode=require",
         "amqp://u@h/x?password=***&sslmode=require"),
        ("amqp://h/x?pass%77ord=geheim&user=a@b", "amqp://h/x?pass%77ord=***&user=a@b"),
        ("amqp://u@h1,h2/x?sslpassword=geheim", "amqp://u@h1,h2/x?sslpassword=***"),
    ],
)  # fmt: skip
def test_the_url_of_another_database_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(Linked(source=url))["source"] == shown
    # One of PostgreSQL is shown from its parts, and not at all if it cannot be parsed.
    source = masked(Linked(source=url.replace("amqp", "postgresql")))["source"]
    assert source in ("***", shown.replace("amqp", "postgresql"))


@given(st.text())
def test_no_password_of_the_database_is_shown(password: str) -> None:
    url = SecretStr(f"postgresql://user:Zq{password}Zq@host/x")
    assert masked(Linked(url=url))["url"] in ("***", "postgresql://user:***@host/x")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=" /:@'\"\n\t,;&)]}")))
def test_no_password_survives_redaction(password: str) -> None:
    secret = f"Zq{password}Zq"
    if any(character.isspace() for character in secret):
        return
    for text in (f"postgresql://user:{secret}@host/x", f"password={secret} host=x"):
        assert secret not in redact(text)


@given(st.dictionaries(st.from_regex(r"ALIAPORT_[A-Z_]{0,20}", fullmatch=True), st.text()))
def test_any_environment_gives_settings_or_one_configuration_error(environ: dict[str, str]) -> None:
    environ.pop("ALIAPORT_CONFIG", None)
    try:
        settings({key: value.replace("\0", "") for key, value in environ.items()})
    except ConfigError as error:
        assert error.problems


def test_a_bad_secret_from_a_file_names_the_variable_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("mysql://user:geheim123@db/x")
    (problem,) = problems({"DATABASE_URL_FILE": str(file)}).splitlines()[1:]
    assert problem.strip().startswith(f"- DATABASE_URL_FILE: {file}: database_url: starts with")
    assert "geheim123" not in problem


def test_metrics_auth_needs_a_token_in_production() -> None:
    environ = {"ENVIRONMENT": "production", "ALIAPORT_METRICS_AUTH": "true"}
    assert "metrics_auth: without a token nobody could read /metrics" in problems(environ)
    for token in ("ALIAPORT_STATUS_TOKEN", "ALIAPORT_STATUS_TOKEN_FILE"):
        assert settings({**environ, token: "/a-path-or-a-token"}).metrics_auth
    assert settings({"ALIAPORT_METRICS_AUTH": "true"}).metrics_auth, "development shows all anyway"


class Keyed(PluginConfig):
    key: str
    size: int = 1


class Tables(PluginConfig):
    inner: Keyed
    other: Inner


def test_a_table_that_is_missing_is_named_with_its_options() -> None:
    with pytest.raises(ConfigError) as raised:
        plugin_config(read_sources({}), "plugins", "thing", Tables)
    assert raised.value.problems == (
        "plugins.thing.inner: is required; add the table [plugins.thing.inner] with: key",
        "plugins.thing.other: is required; add the table [plugins.thing.other]",
    )
