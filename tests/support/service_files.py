"""PostgreSQL's service and password files, which programs use in place of URLs as arguments."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit


def service_files(folder: Path, servers: Mapping[str, str]) -> dict[str, str]:
    """Write both files for URLs by service name; return the variables that name the files."""
    services, passwords = folder / "service-file", folder / "password-file"
    entries, lines = [], []
    for name, url in servers.items():
        parts = urlsplit(url)
        host, port, database = parts.hostname, parts.port, parts.path.lstrip("/")
        entries.append(
            f"[{name}]\nhost={host}\nport={port}\ndbname={database}\nuser={parts.username}\n"
        )
        password = unquote(parts.password or "")
        lines.append(f"{host}:{port}:{database}:{parts.username}:{password}\n")
    services.write_text("\n".join(entries))
    passwords.touch(0o600)
    passwords.write_text("".join(lines))
    return {"PGSERVICEFILE": str(services), "PGPASSFILE": str(passwords)}
