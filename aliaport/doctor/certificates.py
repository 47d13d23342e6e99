"""Certificates of every https address that was named: trusted, for its host, and not ending."""

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.doctor.http import certificate_problem, reason

LEAST_DAYS = 14


async def certificates(run: Run) -> Finding:
    """All are valid for two weeks more."""
    named = [each for each in run.targets.addresses if each.startswith("https://")]
    if not named:
        return not_checked("no https address was named", "give the public one by --site")
    ends = await asyncio.gather(*(_end(run, url) for url in named))
    days = {url: (end - time.time()) / 86_400 for url, end in zip(named, ends, strict=True)}
    seen = ", ".join(f"{urlsplit(url).netloc}: {left:.0f} days left" for url, left in days.items())
    if min(days.values()) >= LEAST_DAYS:
        return passed(seen)
    raise CheckFailed(
        f"{seen}; {LEAST_DAYS} are wanted",
        "renew it, and see why that was late",
        "CertificateExpiring",
    )


async def _end(run: Run, url: str) -> float:
    parts = urlsplit(url)
    host, timeout = parts.hostname or "", run.targets.timeout
    todo, runbook = "renew it, or name its authority by --ca-file", "CertificateExpiring"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(
                host, parts.port or 443, ssl=run.tls, server_hostname=host
            )
            certificate = writer.get_extra_info("peercert")
            writer.transport.abort()
    except TimeoutError:
        raise CheckFailed(f"{parts.netloc}: no TLS within {timeout:g} s", todo, runbook) from None
    except ssl.SSLCertVerificationError as error:
        problem = certificate_problem(error)
        raise CheckFailed(f"{parts.netloc}: {problem}", todo, runbook) from None
    except OSError as error:
        seen = f"{parts.netloc}: {reason(error)}"
        raise CheckFailed(seen, "look whether a server listens there", runbook) from None
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))


CHECKS = (Check("certificates", "Certificates are good for 14 days", certificates),)
