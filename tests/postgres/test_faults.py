"""Causes of failed connections: their codes, the reasons, and the settings to change."""

import asyncio
import errno
import gc
import os
import resource
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import trustme
import uvloop

from aliaport import postgres
from aliaport.postgres.faults import fault_at
from aliaport.settings.database_url import DatabaseUrl
from aliaport.testing import make_context
from tests.support.ports import free_port
from tests.support.postgres import PASSWORD, TcpPostgres
from tests.support.tls_front import tls_front

LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)
"""Plugins run on the first, applications on the second."""

CA, OTHER_CA = trustme.CA(), trustme.CA()
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    """Yield a folder with the files of both authorities, and one without a certificate."""
    with tempfile.TemporaryDirectory() as folder:
        CA.cert_pem.write_to_path(f"{folder}/ca.pem")
        OTHER_CA.cert_pem.write_to_path(f"{folder}/other.pem")
        Path(folder, "junk.pem").write_text("junk")
        yield Path(folder)


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def fault_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], postgres.Fault]]:
    """Return a function that connects to a URL and returns why that fails; `ok` if it does not."""
    with asyncio.Runner(loop_factory=request.param) as runner:

        async def attempt(url: str) -> postgres.Fault:
            context = make_context("x", database_url=url)
            try:
                connection = await postgres.connect(context, component="x", timeout=20)
            except postgres.FAULTS as error:
                fault = postgres.explain(error, context)
                assert error.__notes__ == [fault.text]
                assert "right" not in fault.text
                assert "\n" not in fault.text
                assert fault.code in postgres.FAULT_CODES
                return fault
            await postgres.close(connection)
            return postgres.Fault("ok", "")

        yield lambda url: runner.run(attempt(url))


def certificate(
    name: str = "127.0.0.1", begin: timedelta = -DAY, end: timedelta = DAY
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = CA.issue_cert(name, not_before=NOW + begin, not_after=NOW + end)
    issued.configure_cert(context)
    return context


def dsn(server: TcpPostgres, port: int, options: str = "") -> str:
    return server.dsn().replace(f":{server.port}/", f":{port}/") + f"?{options}"


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ("sslmode=verify-full&sslrootcert={files}/ca.pem", "ok", ""),
        ("sslmode=verify-full&sslrootcert={files}/ca.pem&channel_binding=require&keepalives=1"
         "&connect_timeout=10&gssencmode=disable", "ok", ""),
        ("sslmode=require", "ok", ""),
        ("sslmode=prefer", "ok", ""),
        ("sslmode=verify-full&sslrootcert={files}/other.pem", "tls_failed",
         "was not issued by a CA of sslrootcert={files}/other.pem"),
        ("sslrootcert=system", "tls_failed", "(sslrootcert=system)"),
        ("sslmode=verify-full&sslrootcert={files}/absent.pem", "tls_failed",
         "sslrootcert={files}/absent.pem: No such file or directory"),
        ("sslmode=verify-full&sslrootcert={files}/junk.pem", "tls_failed",
         "sslrootcert={files}/junk.pem: has no valid certificate"),
        ("sslmode=require&sslcert={files}/absent.crt", "tls_failed",
         "sslcert={files}/absent.crt: No such file or directory"),
        ("sslmode=prefer&sslcert={files}/ca.pem&sslkey={files}", "tls_failed",
         "sslkey={files}: "),
    ],
)  # fmt: skip
def test_tls_to_a_server_with_a_valid_certificate(
    server: TcpPostgres, files: Path, fault_of: Callable[[str], postgres.Fault],
    options: str, code: str, reason: str,
) -> None:  # fmt: skip
    with tls_front(server.port, certificate()) as port:
        fault = fault_of(dsn(server, port, options.format(files=files)))
    assert fault.code == code
    assert reason.format(files=files) in fault.text


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (certificate("db.example.org"), "certificate is for another name (IP address mismatch"),
        (certificate(begin=-2 * DAY, end=-DAY), "the server's certificate has expired"),
        (certificate(begin=DAY, end=2 * DAY), "the server's certificate is not valid yet"),
        (None, "the server has no TLS, which sslmode=verify-full requires"),
    ],
    ids=["name", "expired", "future", "none"],
)
def test_tls_to_a_server_with_a_wrong_certificate_or_without_one(
    server: TcpPostgres, files: Path, fault_of: Callable[[str], postgres.Fault],
    context: ssl.SSLContext | None, reason: str,
) -> None:  # fmt: skip
    with tls_front(server.port, context) as port:
        url = dsn(server, port, f"sslmode=verify-full&sslrootcert={files}/ca.pem")
        fault = fault_of(url)
        assert fault_of(dsn(server, port, "sslmode=prefer")).code == "ok"
    assert fault.code == "tls_failed"
    assert reason in fault.text
    assert f'database "service" at 127.0.0.1:{port} as user "aliaport"' in fault.text


def test_several_hosts_are_tried_in_order_and_all_are_named(
    server: TcpPostgres, fault_of: Callable[[str], postgres.Fault]
) -> None:
    closed, other = free_port(), free_port()
    url = server.dsn().replace("@", f"@127.0.0.1:{closed},")
    assert fault_of(f"{url}?target_session_attrs=read-write").code == "ok"
    assert fault_of(f"{url}?target_session_attrs=prefer-standby").code == "ok"
    fault = fault_of(f"{url}?target_session_attrs=standby")
    assert (fault.code, fault.text.startswith("no host can be used (127.0.0.1:")) == (
        "connection_refused",
        True,
    )
    assert f"127.0.0.1:{closed}: nothing is listening at the address; " in fault.text
    assert f"127.0.0.1:{server.port}: no host has target_session_attrs=standby" in fault.text
    fault = fault_of(f"postgresql://bob@127.0.0.1:{closed},127.0.0.1:{other}/app")
    assert fault.code == "connection_refused"
    assert f'"app" at 127.0.0.1:{closed}, 127.0.0.1:{other} as user "bob"' in fault.text


def test_a_host_that_does_not_respond_leaves_time_for_the_next(server: TcpPostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = server.dsn().replace("@", f"@127.0.0.1:{port},") + "?connect_timeout=20"
        assert url.count("127.0.0.1") == 2

        async def connect_to_the_second() -> int:
            context = make_context("x", database_url=url)
            connection = await postgres.connect(context, component="x", timeout=60)
            pid = await connection.fetchval("SELECT 1")
            await postgres.close(connection)
            return int(pid)

        assert asyncio.run(connect_to_the_second()) == 1


def test_sockets_are_named(
    server: TcpPostgres, fault_of: Callable[[str], postgres.Fault], files: Path
) -> None:
    folder = server.data.parent
    if os.access(folder, os.X_OK):
        url = (
            f"postgresql://aliaport:a%20right%20password@/service?host={folder}&port={server.port}"
        )
        assert fault_of(url).code == "ok"
    fault = fault_of(f"postgresql://bob@/app?host={files}")
    assert fault.code == "connection_refused"
    assert f'at the socket: database "app" at {files}/.s.PGSQL.5432 as user' in fault.text
    fault = fault_of(f"postgresql://bob@/app?host={files}/absent")
    assert "nothing is listening at the socket, whose folder does not exist: database" in fault.text


def test_other_targets(server: TcpPostgres, fault_of: Callable[[str], postgres.Fault]) -> None:
    fault = fault_of("postgresql://bob@255.255.255.255/app")
    assert fault.code in ("unreachable", "permission_denied")
    assert "no-such-host.invalid:5432" in fault_of("postgresql://b@no-such-host.invalid/app").text
    fault = fault_of(f"postgresql://aliaport@127.0.0.1:{server.port}/service")
    assert (fault.code, fault.text.endswith("DATABASE_URL has no password: add it")) == (
        "wrong_password",
        True,
    )


@pytest.mark.filterwarnings("ignore:password file")
@pytest.mark.parametrize(
    ("content", "mode", "code", "said"),
    [
        ("{line}", 0o600, "ok", ""),
        ("{line}", 0o644, "wrong_password", "passfile={file} has mode 0644: others may read it"),
        ("{line}", 0o640, "wrong_password", "chmod 600 {file}"),
        (None, 0, "wrong_password", "passfile={file} cannot be read (No such file or directory)"),
        ("folder", 0o700, "wrong_password", "passfile={file} is not a regular file"),
        ("db:1:x:y:z\n", 0o600, "wrong_password", "passfile={file}, or no line of it matches"),
        ("# mine\n{line}word\n", 0o600, "misconfigured", "passfile={file}: line 3 is not of the"),
        ("{line}\udcff", 0o600, "misconfigured", "passfile={file}: is not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_password_file_that_does_not_help_is_named(
    server: TcpPostgres, fault_of: Callable[[str], postgres.Fault], tmp_path: Path,
    content: str | None, mode: int, code: str, said: str,
) -> None:  # fmt: skip
    file = tmp_path / "pgpass"
    line = f"127.0.0.1:{server.port}:*:aliaport:{PASSWORD}\n"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_text(content.format(line=line), errors="surrogateescape")
    if content is not None:
        file.chmod(mode)
    url = f"postgresql://aliaport@127.0.0.1:{server.port}/service?passfile={file}"
    fault = fault_of(url)
    assert (fault.code, said.format(file=file) in fault.text) == (code, True), fault.text


@pytest.mark.filterwarnings("ignore:password file")
def test_the_usual_password_file_is_named(
    server: TcpPostgres, fault_of: Callable[[str], postgres.Fault], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = tmp_path / ".pgpass"
    file.write_text(f"*:*:*:*:{PASSWORD}\n")
    file.chmod(0o604)
    monkeypatch.setenv("HOME", str(tmp_path))
    fault = fault_of(f"postgresql://aliaport@127.0.0.1:{server.port}/service")
    assert f"there is no password, since {file} has mode 0604" in fault.text


@contextmanager
def other_service(greeting: bytes, response: bytes) -> Iterator[int]:
    """Yield a port on which a service sends a greeting, responds to anything, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    client.sendall(greeting)
                    client.recv(1000)
                    client.sendall(response)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
@pytest.mark.parametrize(
    ("greeting", "response"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", b"Invalid SSH identification string.\r\n"),
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (b"220 mail.example.org ESMTP\r\n", b"500 unrecognized command\r\n"),
    ],
    ids=["ssh", "http", "smtp"],
)
def test_another_service_at_the_port_is_not_postgresql(
    fault_of: Callable[[str], postgres.Fault], mode: str, greeting: bytes, response: bytes
) -> None:
    with other_service(greeting, response) as port:
        fault = fault_of(f"postgresql://bob@127.0.0.1:{port}/app?sslmode={mode}")
    assert fault.code == "misconfigured"
    assert fault.text.startswith("what responds there is not PostgreSQL: database")
    assert fault.text.endswith("correct host and port in DATABASE_URL")


def test_a_server_that_says_nothing_is_not_called_another_service(
    fault_of: Callable[[str], postgres.Fault],
) -> None:
    with other_service(b"", b"") as port:
        url = f"postgresql://bob@127.0.0.1:{port}/app?sslmode=require&ssl_min_protocol_version=TLSv1.3"
        assert fault_of(url).code == "connection_lost"


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Open files up to the limit."""
    gc.collect()  # what other tests left would free descriptors at any moment
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 400), hard))
    try:
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "target", ["@127.0.0.1:1/x", "@localhost:1/x", "@127.0.0.1/x?sslmode=require&sslcert={file}"]
)
def test_a_process_without_descriptors_is_named(
    loop: Callable[[], asyncio.AbstractEventLoop], target: str
) -> None:
    context = make_context("x", database_url=f"postgresql://bob{target.format(file=__file__)}")

    async def attempt() -> postgres.Fault:
        with no_descriptors(), pytest.raises(postgres.FAULTS) as raised:
            await postgres.connect(context, component="x", timeout=20)
        return postgres.Fault("noted", raised.value.__notes__[0])

    with asyncio.Runner(loop_factory=loop) as runner:
        fault = runner.run(attempt())
    assert fault.text.startswith("this process has too many open files: database")


def closed_by(cause: Exception) -> Exception:
    """Return what asyncpg raises if an error of the connection closes it."""
    error = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    error.__cause__ = cause
    return error


def alert(name: str) -> ssl.SSLError:
    error = ssl.SSLError(1, name)
    error.reason = name
    return error


REFUSED = "[Errno 111] Connect call failed ('::1', 1, 0, 0)"
UNREACHABLE = "[Errno 101] Network is unreachable"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(f"Multiple exceptions: {UNREACHABLE}, {REFUSED}"), "connection_refused",
         "(and: Network is unreachable)"),
        (OSError(f"Multiple exceptions: {REFUSED}, [Errno 24] x"), "local_limit", "ulimit -n"),
        (ExceptionGroup("x", [OSError(errno.EHOSTUNREACH, "x"), ConnectionRefusedError(111, "x")]),
         "connection_refused", "(and: No route to host)"),
        (OSError(errno.EACCES, "x"), "permission_denied", "Permission denied"),
        (OSError(errno.EPERM, "x"), "permission_denied", "Operation not permitted"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "local_limit", "no free port"),
        (OSError(errno.EIO, "x"), "failed", "Input/output error"),
        (OSError("x"), "failed", "the connection failed: x"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "connect_timeout", "firewall"),
        (TimeoutError(), "query_timeout", "timed out"),
        (ConnectionResetError(), "connection_lost", "the server closed the connection"),
        (asyncpg.InterfaceError("connection is closed"), "connection_lost", "closed"),
        (asyncpg.InterfaceError("unsupported authentication method"), "failed", "unsupported"),
        (asyncpg.ClientConfigurationError("x"), "misconfigured", "correct DATABASE_URL"),
        (asyncpg.InvalidAuthorizationSpecificationError("no entry, no encryption"),
         "not_authorised", "add sslmode=verify-full"),
        (asyncpg.InvalidAuthorizationSpecificationError("requires a valid client certificate"),
         "not_authorised", "set sslcert and sslkey in DATABASE_URL"),
        (closed_by(alert("TLSV1_ALERT_UNKNOWN_CA")), "tls_failed", "refused this client"),
        (closed_by(ConnectionResetError(errno.ECONNRESET, "x")), "connection_lost", "closed the"),
        (alert("TLSV1_ALERT_PROTOCOL_VERSION"), "tls_failed", "no version of TLS in common"),
        (alert("NO_PROTOCOLS_AVAILABLE"), "tls_failed", "or ssl_max_protocol_version in"),
        (ssl.SSLEOFError(8, "EOF occurred"), "tls_failed", "the TLS handshake failed"),
    ],
    ids=str,
)  # fmt: skip
def test_the_kind_of_error_decides(error: Exception, code: str, said: str) -> None:
    url = DatabaseUrl.parse("postgresql://bob@db:5432/app").resolved({})
    fault = fault_at(error, url)
    assert (fault.code, said in fault.text) == (code, True), fault.text
    assert 'database "app" at db:5432 as user "bob"' in fault.text
    assert fault_at(error, None).code == code


def test_a_url_that_cannot_be_parsed_is_a_fault_of_the_settings() -> None:
    context = make_context("x", database_url=f"postgresql://bob:{PASSWORD}@db/app")
    fault = postgres.explain(OSError(), context)
    assert fault.code == "misconfigured"
    assert fault.text == "DATABASE_URL: has a blank or a line break inside; write a blank as %20"
