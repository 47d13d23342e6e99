"""How the server is verified: the certificates of a database URL, and servers without them."""

import errno
import os
import ssl
from collections.abc import Callable
from pathlib import Path

from aliaport.addresses import is_loopback
from aliaport.regular_files import read_regular
from aliaport.settings.database_options import SYSTEM_CERTIFICATES
from aliaport.settings.database_url import DatabaseUrl

VERIFIED = "verify-full"
HINT = (
    "add sslmode=verify-full and sslrootcert=<file with the CA certificate> to DATABASE_URL; the "
    "file of public CAs is often /etc/ssl/certs/ca-certificates.crt"
)
MAX_FILE_BYTES = 4_000_000
"""Bytes: many times the file of all public certificate authorities."""


class CertificateFileError(OSError):
    """A file of certificates or of a key cannot be used; `filename` is its path.

    `option` is the option of DATABASE_URL that names it, such as sslrootcert.
    """

    def __init__(self, option: str, file: Path, reason: str) -> None:
        super().__init__(None, reason, str(file))
        self.option = option

    def __str__(self) -> str:
        """Return option, file and reason."""
        return f"{self.option}={self.filename}: {self.strerror}"


def unverified_server(url: DatabaseUrl) -> str:
    """Return why the server of a resolved database URL is not verified; '' if it is.

    A socket and loopback addresses need no verification.
    """
    hosts = [host for host in url.hosts if not host.startswith("/") and not is_loopback(host)]
    if url.ssl_mode == VERIFIED or not hosts:
        return ""
    return (
        f"the database server at {', '.join(hosts)} is not verified (sslmode={url.ssl_mode}): "
        "another machine in its place would receive the password"
    )


def tls_context(url: DatabaseUrl) -> ssl.SSLContext:
    """Return what a connection with TLS verifies and presents, as libpq does.

    Files that the URL does not name are looked for in ~/.postgresql. They are read each time, so
    that a renewed certificate needs no restart. Raises CertificateFileError.
    """
    options, mode = url.options, url.ssl_mode
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == VERIFIED
    context.minimum_version = _version(options.get("ssl_min_protocol_version", "TLSv1.2"))
    if newest := options.get("ssl_max_protocol_version"):
        context.maximum_version = _version(newest)
    context.set_alpn_protocols(["postgresql"])
    _set_authorities(context, options.get("sslrootcert", ""), mode)
    if context.verify_mode is ssl.CERT_REQUIRED:
        revoked = _file(options.get("sslcrl"), "root.crl")
        if revoked is not None:
            _read("sslcrl", revoked, lambda: context.load_verify_locations(cafile=revoked))
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    certificate = _file(options.get("sslcert"), "postgresql.crt")
    if certificate is not None:
        key = _file(options.get("sslkey"), "postgresql.key")
        if key is not None:
            _read("sslkey", key, lambda: None)
        password = options.get("sslpassword", "")
        _read(
            "sslcert",
            certificate,
            lambda: context.load_cert_chain(certificate, key, password=lambda: password),
        )
    return context


def _set_authorities(context: ssl.SSLContext, named: str, mode: str) -> None:
    if named == SYSTEM_CERTIFICATES:
        context.load_default_certs()
        return
    file = _file(named, "root.crt")
    if file is not None and mode not in ("allow", "prefer"):
        _read("sslrootcert", file, lambda: context.load_verify_locations(cafile=file))
    elif mode in ("verify-ca", VERIFIED):
        raise CertificateFileError(
            "sslrootcert", Path("~/.postgresql/root.crt"), f"does not exist, and {mode} needs it"
        )
    else:
        context.verify_mode = ssl.CERT_NONE


def _file(named: str | None, usual: str) -> Path | None:
    """Return the named file, or the usual one in ~/.postgresql if it exists."""
    if named:
        return Path(named)
    try:
        file = Path.home() / ".postgresql" / usual
        return file if os.access(file, os.F_OK) else None
    except RuntimeError:  # no home folder
        return None


def _read(option: str, file: Path, load: Callable[[], object]) -> None:
    """Load a file. Raises CertificateFileError: the errors of `ssl` name no file."""
    try:
        read_regular(file, MAX_FILE_BYTES)
        load()
    except ssl.SSLError as error:
        raise CertificateFileError(option, file, _unusable(option, error)) from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise  # not a fault of the file
        raise CertificateFileError(option, file, error.strerror or str(error)) from None


def _unusable(option: str, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "does not belong to the key of sslkey"
    if option == "sslcert":
        return "has no valid certificate with its key, or sslpassword does not open the key"
    return "has no valid certificate in PEM format"


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]
