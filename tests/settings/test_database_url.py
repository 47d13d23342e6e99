"""The URL of the database: what it means, what is refused, and that it is shown without secrets."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliaport.settings import core_settings, masked, read_sources
from aliaport.settings.database_options import IGNORED, REFUSED, SERVER_SETTINGS, USED
from aliaport.settings.database_url import ENVIRONMENT, DatabaseUrl, shown_url

NOBODY: dict[str, str] = {}
"""An environment without variables that begin with PG."""


def problem_of(url: str) -> str:
    with pytest.raises(ValueError, match=r"has|is|does|starts|begins|names") as raised:
        DatabaseUrl.parse(url)
    return str(raised.value)


def test_all_parts_are_read_and_shown_without_the_password() -> None:
    url = DatabaseUrl.parse(
        " postgres://bob:gehe%20im@db1:5432,[::1],db3:5433/my%20app"
        "?target_session_attrs=read-write&application_name=eu%2B1\r\n"
    )
    assert url.addresses == (("db1", 5432), ("::1", None), ("db3", 5433))
    assert (url.user, url.database) == ("bob", "my app")
    assert url.password is not None
    assert url.password.get_secret_value() == "gehe im"
    assert str(url) == (
        "postgresql://bob:***@db1:5432,[::1],db3:5433/my%20app"
        "?target_session_attrs=read-write&application_name=eu%2B1"
    )
    assert repr(url) == f"DatabaseUrl({str(url)!r})"
    assert url.resolved(NOBODY).target == (
        'database "my app" at db1:5432, [::1]:5432, db3:5433 as user "bob"'
    )


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("postgresql://bob@%2Frun%2Fpg:5433/x", ("/run/pg/.s.PGSQL.5433",)),
        ("postgresql://bob@/x?host=/run/pg", ("/run/pg/.s.PGSQL.5432",)),
        ("postgresql://bob@/x?host=a,b&port=5433", ("a:5433", "b:5433")),
        ("postgresql://bob@a,b:5433/x", ("a:5432", "b:5433")),
        ("postgresql://bob@[fe80::1%25eth0]:1/x", ("[fe80::1%eth0]:1",)),
        ("postgresql://bob@/x?host=::1", ("[::1]:5432",)),
    ],
)
def test_hosts_are_names_addresses_and_folders(url: str, places: tuple[str, ...]) -> None:
    parsed = DatabaseUrl.parse(url)
    assert parsed.resolved(NOBODY).places == places
    assert DatabaseUrl.parse(str(parsed)).addresses == parsed.addresses


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("ge@he:im", "write @ as %40"),
        ("ge@heim", "write @ as %40"),
        ("ge/heim", "write / as %2F"),
        ("ge?heim", "? as %3F"),
        ("ge#heim", "write # as %23"),
        ("ge heim", "write a blank as %20"),
        ("ge\theim", "write a blank as %20"),
        ("ge\u00a0heim", "write a blank as %20"),
        ("ge\u200bheim", "has an invisible character"),
        ("ge'heim", "write ' as %27"),
        ('ge"heim', 'write " as %22'),
        ("ge\\heim", "write \\ as %5C"),
        ("ge[heim", "write [ as %5B"),
        ("ge%heim", "write % as %25"),
        ("geheim%4", "write % as %25"),
        ("geheim%00", "has a %00"),
        ("geheim%FF", "that are not UTF-8"),
    ],
)
def test_what_two_programs_would_read_differently_is_refused_and_not_shown(
    password: str, said: str
) -> None:
    problem = problem_of(f"postgresql://bob:{password}@db:5432/app")
    assert said in problem
    assert "heim" not in problem
    assert shown_url(f"postgresql://bob:{password}@db:5432/app") == "***"


def test_the_value_of_a_setting_that_is_a_secret_by_its_name_is_not_shown() -> None:
    shown = shown_url("postgresql://db/app?app.password=geheim&app.place=here")
    assert shown == "postgresql://db/app?app.password=***&app.place=here"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is empty"),
        ("'postgresql://bob@db/app'", "remove the quotation marks"),
        ("host=db user=bob password=geheim", "does not start with postgresql://"),
        ("jdbc:postgresql://db/app", "starts with 'jdbc:postgresql'"),
        ("postgresql://bob:geheim/app", "has a wrong port"),
        ("postgresql://db:0/app", "has a wrong port"),
        ("postgresql://db:65536/app", "has a wrong port"),
        ("postgresql://2001:db8::1/app", "an IPv6 address in [ ]"),
        ("postgresql://a,/app", "has an empty host"),
        ("postgresql://a^b/app", "has a wrong host"),
        ("postgresql://db/app?host=other", "has the host twice"),
        ("postgresql://db/app?port=5433", "write it after the host"),
        ("postgresql://bob:geheim@db/app?password=geheim", "has the password twice"),
        ("postgresql:///app?host=a,b&port=1,2,3", "has 3 ports for 2 hosts"),
        ("postgresql:///app?host=/" + "x" * 100, "longer than 107 bytes"),
        ("postgresql://db/app?sslmode", "without '='"),
        ("postgresql://db/app?sslmode=", "has a wrong sslmode"),
        ("postgresql://db/app?sslmode=require&sslmode=disable", "has an option twice"),
        ("postgresql://db/app?options=-c+a%3Db", "write + as %2B"),
        ("postgresql://db/app?options=-c%20a=b", "write = as %3D"),
        ("postgresql://db/app?options=-c%20geheim", "not of the form -c name=value"),
        ("postgresql://db/app?options=-c", "not of the form -c name=value"),
        ("postgresql://db/app?options=-d%205", "unknown switch in options"),
        ("postgresql://db/app?sslmode=yes", "did you mean sslmode=require?"),
        ("postgresql://db/app?sslmode=verify_full", "did you mean sslmode=verify-full?"),
        ("postgresql://db/app?target_session_attrs=master", "target_session_attrs=primary?"),
        ("postgresql://db/app?connect_timeout=soon", "must be a whole number"),
        ("postgresql://db/app?gssencmode=require", "gssencmode=require, which is not supported"),
        ("postgresql://db/app?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("postgresql://db/app?ssl_max_protocol_version=TLSv1.1", "(TLSv1.2 by default)"),
        (
            "postgresql://db/app?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "has ssl_max_protocol_version=TLSv1.2, which is older than ssl_min_protocol_version",
        ),
        ("postgresql://db/app?sslnegotiation=direct", "needs sslmode=require"),
        ("postgresql://db/app?hostaddr=10.0.0.1", "write the address in place of the host"),
        ("postgresql://db/app?pgbouncer=true", "option of Prisma"),
        ("postgresql://db/app?schema=public", "options=-c%20search_path%3D"),
        ("postgresql://db/app?connection_limit=5", "set pool_size"),
        ("postgresql://db/app?currentSchema=public", "option of JDBC"),
        ("postgresql://db/app?conect_timeout=5", "did you mean connect_timeout?"),
        ("postgresql://db/app?strange=1", "has an unknown option 'strange'"),
        ("postgresql://db/app?password=ge&s3.geheim=b", "has an unknown option"),
        ("postgresql://db?dbname=postgresql%3A%2F%2Fbob%3Ageheim%40db", "has a URL as the name"),
        ("postgresql:///app?service=absent&servicefile=/absent", "/absent: No such file"),
    ],
)
def test_other_mistakes_say_what_to_write(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"has|is|does|starts|begins|names") as raised:
        DatabaseUrl.parse(url).resolved(NOBODY)
    assert said in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_a_part_of_a_password_that_looks_like_an_option_is_not_shown() -> None:
    assert "heim" not in problem_of("postgresql://db/app?password=ge&heim=1")


@pytest.mark.parametrize(
    "query",
    [
        "channel_binding=require&sslmode=require",
        "connect_timeout=10&gssencmode=disable&keepalives=1&keepalives_idle=30",
        "sslnegotiation=direct&sslmode=require",
        "tcp_user_timeout=5000&client_encoding=UTF8&sslsni=1",
        "sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt",
        "options=-c%20search_path%3Dapp&application_name=x&load_balance_hosts=random",
        "search_path=app&app.tenant=5",
        "options=endpoint%3Dquiet-sea%20-cjit%3Doff%20--work-mem%3D5MB%20-c%20search_path%3Da,%5C%20b",
        "ssl=true",
    ],
)
def test_options_of_libpq_are_accepted(query: str) -> None:
    DatabaseUrl.parse(f"postgresql://bob@db/app?{query}").resolved(NOBODY)


def test_variables_and_service_files_fill_what_the_url_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "services"
    file.write_text("[app]\nhost=db1,db2\nport=5433\nuser=bob\nsslmode=require\n")
    environ = {"PGSERVICEFILE": str(file), "PGSSLMODE": "disable", "PGDATABASE": "x", "PGUSER": "y"}
    url = DatabaseUrl.parse("postgresql:///?service=app").resolved(environ)
    assert url.target == 'database "x" at db1:5433, db2:5433 as user "bob"'
    assert url.ssl_mode == "require"
    for environ, said in (
        ({"PGSSLMODE": "yes"}, "in the variable PGSSLMODE"),
        ({"PGPORT": "abc"}, "in the variable PGPORT"),
    ):
        with pytest.raises(ValueError, match=said):
            DatabaseUrl.parse("postgresql://db/app").resolved(environ)
    file.write_text("[app]\nsslmode=yes\n")
    with pytest.raises(ValueError, match=f"sslmode.*in the service file {file}"):
        DatabaseUrl.parse("postgresql:///?service=app").resolved({"PGSERVICEFILE": str(file)})


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_an_encoded_password_arrives_and_is_never_shown(password: str) -> None:
    secret = f"Zq{password}Zq".encode(errors="replace").decode()
    url = DatabaseUrl.parse(f"postgresql://bob:{quote(secret, safe='')}@db/app")
    assert url.password is not None
    assert url.password.get_secret_value() == secret
    assert "Zq" not in f"{url} {url!r} {url.resolved(NOBODY).target}"


@given(st.text())
def test_any_text_is_a_url_or_one_problem(text: str) -> None:
    try:
        url = DatabaseUrl.parse(f"postgresql://{text}")
    except ValueError as error:
        assert str(error)
    else:
        assert DatabaseUrl.parse(str(url)).addresses == url.addresses


def test_the_url_of_a_file_is_stripped_and_its_problem_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("  postgresql://bob:geheim@db/app \n\n")
    settings = core_settings(read_sources({"DATABASE_URL_FILE": str(file)}))
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://bob:geheim@db/app"
    assert masked(settings)["database_url"] == "postgresql://bob:***@db/app"
    for text in ("postgresql://bob:ge heim@db/app", ""):
        file.write_text(text)
        with pytest.raises(Exception, match=f"DATABASE_URL_FILE: {file}: database_url: ") as raised:
            core_settings(read_sources({"DATABASE_URL_FILE": str(file)}))
        assert "heim" not in str(raised.value)


def test_every_option_and_variable_is_documented() -> None:
    page = Path(__file__).parents[2].joinpath("docs/reference/database-url.md").read_text()
    names = {*USED, *IGNORED, *SERVER_SETTINGS, *REFUSED, *ENVIRONMENT}
    assert sorted(name for name in names if f"`{name}`" not in page) == []
