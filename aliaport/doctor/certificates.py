"""Checks that the certificate of every https address is trusted, for its host and not expiring."""

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.doctor.http import certificate_problem, reason

MIN_DAYS = 14


async def certificates(run: Run) -> Finding:
    """Check that all certificates are valid for two more weeks."""
    named = [url for url in run.targets.addresses if url.startswith("https://")]
    if not named:
        return not_checked("no https address was given", "pass the public one with --site")
    expiries = await asyncio.gather(*(_expiry(run, url) for url in named))
    days = {url: (at - time.time()) / 86_400 for url, at in zip(named, expiries, strict=True)}
    seen = ", ".join(f"{urlsplit(url).netloc}: {left:.0f} days left" for url, left in days.items())
    if min(days.values()) >= MIN_DAYS:
        return passed(seen)
    raise CheckFailed(
        f"{seen}; at least {MIN_DAYS} are required",
        "renew the certificate, and find out why it was not renewed in time",
        "CertificateExpiring",
    )


async def _expiry(run: Run, url: str) -> float:
    parts = urlsplit(url)
    host, timeout = parts.hostname or "", run.targets.timeout
    todo, runbook = "renew the certificate, or pass its CA with --ca-file", "CertificateExpiring"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(
                host, parts.port or 443, ssl=run.tls, server_hostname=host
            )
            certificate = writer.get_extra_info("peercert")
            writer.transport.abort()
    except TimeoutError:
        raise CheckFailed(
            f"{parts.netloc}: no TLS handshake within {timeout:g} s", todo, runbook
        ) from None
    except ssl.SSLCertVerificationError as error:
        problem = certificate_problem(error)
        raise CheckFailed(f"{parts.netloc}: {problem}", todo, runbook) from None
    except OSError as error:
        seen = f"{parts.netloc}: {reason(error)}"
        raise CheckFailed(seen, "check that a server listens there", runbook) from None
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))


CHECKS = (Check("certificates", "Certificates are valid for 14 days", certificates),)
