"""Reasons of encrypted connections that fail, with the file or option to change."""

import ssl

from aliaport.postgres.tls import CertificateFileError
from aliaport.settings.database_options import SYSTEM_CERTIFICATES
from aliaport.settings.database_url import DatabaseUrl

_EXPIRED, _NOT_YET_VALID, _SELF_SIGNED = 10, 9, 18
_UNKNOWN_ISSUER = (2, 19, 20, 21, 24)
_WRONG_NAME = (62, 64)
_REVOKED, _NO_LIST, _OLD_LIST = 23, 3, 12
"""OpenSSL's numbers of what a verification finds (X509_V_ERR_…)."""

_CLIENT_REFUSED = (
    *("TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    *("SSLV3_ALERT_CERTIFICATE_REVOKED", "SSLV3_ALERT_CERTIFICATE_UNKNOWN"),
    *("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "TLSV1_ALERT_DECRYPT_ERROR"),
)
_VERSIONS = (
    *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"),
    "NO_SUPPORTED_VERSIONS_ENABLED",
)
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE")
"""OpenSSL's names of errors of the handshake; of alerts, the server's."""


def tls_reason(error: BaseException, url: DatabaseUrl) -> tuple[str, str] | None:
    """Return why the encrypted connection failed, and what to change; None if it did not."""
    if isinstance(error, CertificateFileError):
        return str(error), f"correct {error.option} in DATABASE_URL, or the file"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, url)
    if isinstance(error, ssl.SSLError):
        return _broken(getattr(error, "reason", None) or "")
    # asyncpg has no type of its own for these.
    if is_refusal(error) and url.ssl_mode not in ("allow", "prefer"):
        return (
            f"the server has no TLS, which sslmode={url.ssl_mode} requires",
            "switch on ssl on the server, or correct host, port or sslmode in DATABASE_URL",
        )
    if type(error) is ConnectionError and "during SSL exchange" in str(error):
        return "the server refused to talk about TLS", "see the server's log"
    if type(error) is ConnectionError and "during TLS handshake" in str(error):
        return _broken("")
    return None


def is_refusal(error: BaseException) -> bool:
    """Return True if the server did not respond to the request for TLS with yes.

    With sslmode=prefer or allow, it did not respond with no either.
    """
    return type(error) is ConnectionError and "rejected SSL upgrade" in str(error)


def _unverified(error: ssl.SSLCertVerificationError, url: DatabaseUrl) -> tuple[str, str]:
    code = error.verify_code
    if code == _EXPIRED:
        return "the server's certificate has expired", "renew it on the server"
    if code == _NOT_YET_VALID:
        return "the server's certificate is not valid yet", "compare the clocks of both machines"
    if code in _WRONG_NAME:
        return (
            f"the server's certificate is for another name ({error.verify_message.rstrip('.')})",
            "use a name of the certificate as the host in DATABASE_URL, or issue it for this host",
        )
    if code == _SELF_SIGNED:
        return (
            f"the server's certificate is self-signed, and not in {_authorities(url)}",
            "set sslrootcert in DATABASE_URL to the server's certificate or its CA",
        )
    if code in _UNKNOWN_ISSUER:
        return (
            f"the server's certificate was not issued by a CA of {_authorities(url)}",
            "set sslrootcert in DATABASE_URL to the CA that issued it",
        )
    revocations = f"sslcrl={url.options.get('sslcrl', '~/.postgresql/root.crl')}"
    if code == _REVOKED:
        return f"the server's certificate is revoked ({revocations})", "replace it on the server"
    if code in (_NO_LIST, _OLD_LIST):
        return (
            f"{revocations} has no valid list of the CA that issued the server's certificate",
            "renew the file",
        )
    return f"the server's certificate is not accepted ({error.verify_message})", "replace it"


def _authorities(url: DatabaseUrl) -> str:
    named = url.options.get("sslrootcert", "~/.postgresql/root.crt")
    if named == SYSTEM_CERTIFICATES:
        return "this machine's certificate authorities (sslrootcert=system)"
    return f"sslrootcert={named}"


def _broken(reason: str) -> tuple[str, str]:
    if reason in _CLIENT_REFUSED:
        return (
            f"the server refused this client's certificate ({reason})",
            "set sslcert and sslkey in DATABASE_URL to a valid certificate of a CA that it accepts",
        )
    if reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED":
        return (
            "the server requires a certificate of the client",
            "set sslcert and sslkey in DATABASE_URL",
        )
    if reason in _VERSIONS:
        return (
            f"client and server have no version of TLS in common ({reason})",
            "change ssl_min_protocol_version or ssl_max_protocol_version in DATABASE_URL, or on "
            "the server",
        )
    if reason in _NOT_TLS:
        return (
            f"what responds there does not speak TLS ({reason})",
            "correct host and port in DATABASE_URL; sslnegotiation=direct needs PostgreSQL 17",
        )
    what = f" ({reason})" if reason else ""
    return f"the TLS handshake failed{what}", "see the server's log"
