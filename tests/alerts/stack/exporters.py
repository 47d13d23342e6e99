"""The exporters that need only a port: PostgreSQL exporter and blackbox exporter."""

from pathlib import Path

from tests.alerts.stack.program import Program
from tests.support.service import free_port


def postgres_exporter(folder: Path, dsn: str) -> tuple[Program, int]:
    """Return the exporter of the database at `dsn`, and its port."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    program = Program(
        "postgres-exporter",
        ["prometheus-postgres-exporter", f"--web.listen-address={address}"],
        folder,
        f"http://{address}/",
        environ={"DATA_SOURCE_NAME": dsn},
    )
    return program, port


def blackbox_exporter(folder: Path, config: Path) -> tuple[Program, int]:
    """Return the prober with the modules of `config`, and its port."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    program = Program(
        "blackbox-exporter",
        [
            "prometheus-blackbox-exporter",
            f"--config.file={config}",
            f"--web.listen-address={address}",
        ],
        folder,
        f"http://{address}/-/healthy",
    )
    return program, port
