"""Real load balancers as private processes, with the configurations of their pages in docs/."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.plugins import ROOT
from tests.support.ports import free_port

PAGE = ROOT / "docs/how-to/put-behind-a-load-balancer.md"

_APACHE_MODULES = Path("/etc/apache2/mods-available")
_APACHE = """
ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog {folder}/errors
Mutex pthread
User nobody
Group nogroup
Listen 127.0.0.1:{port}
{modules}
Include {page}
"""
_NGINX = """
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {page};
}}
"""


@dataclass
class Balancer:
    """A running load balancer; `page` is its configuration as the page has it, with our ports."""

    name: str
    program: str
    folder: Path
    port: int
    replicas: Sequence[int]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def page(self) -> Path:
        return self.folder / "page.conf"

    @property
    def main(self) -> Path:
        return self.folder / "main.conf"

    def run_step(self, step: int) -> None:
        """Run a block of commands of the page's section, for the first replica."""
        commands = _replace_ports(_blocks(self.name, "sh")[step], self)
        commands = commands.replace("/etc/nginx/conf.d/aliaport.conf", str(self.page))
        commands = commands.replace("nginx -s reload", f"{shlex.join(_nginx(self))} -s reload")
        subprocess.run(["bash", "-ec", commands], check=True, capture_output=True, timeout=60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def output(self) -> str:
        """Return what it wrote to its terminal and its error log."""
        files = (self.folder / "output", self.folder / "errors")
        return "".join(file.read_text()[-3000:] for file in files if file.exists())


def start(name: str, folder: Path, replicas: Sequence[int], page: Path = PAGE) -> Balancer:
    """Start the balancer of this section of a page in front of the ports `replicas`."""
    program = PROGRAMS[name]
    folder.mkdir(parents=True)
    balancer = Balancer(name, str(shutil.which(program)), folder, free_port(), replicas)
    last = f"10.0.0.{10 + len(replicas)}"
    configuration = next(block for block in _blocks(name, page=page) if last in block)
    # A busy machine may delay a check by more than a second.
    configuration = re.sub(r"(timeout check |\.timeout = )1s", r"\g<1>30s", configuration)
    balancer.page.write_text(_replace_ports(configuration, balancer))
    command = COMMANDS[name](balancer)
    with (folder / "output").open("wb") as output:
        balancer.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    return balancer


def _haproxy(balancer: Balancer) -> list[str]:
    return [balancer.program, "-db", "-f", str(balancer.page)]


def _nginx(balancer: Balancer) -> list[str]:
    balancer.main.write_text(_NGINX.format(folder=balancer.folder, page=balancer.page))
    folder = str(balancer.folder)
    return [balancer.program, "-p", folder, "-e", f"{folder}/errors", "-c", str(balancer.main)]


def _varnish(balancer: Balancer) -> list[str]:
    listen = ("-a", f"127.0.0.1:{balancer.port}", "-T", "none")
    # Its jail runs the compiler as a user who cannot read this folder.
    jail = ("-j", "none", "-n", str(balancer.folder / "run"))
    return [balancer.program, "-F", *jail, *listen, "-f", str(balancer.page)]


def _apache(balancer: Balancer) -> list[str]:
    (names,) = re.findall(r"^a2enmod (.+)$", "".join(_blocks("Apache", "sh")), re.MULTILINE)
    lines: dict[str, None] = {}
    for name in ("mpm_event", "authz_core", *names.split()):
        lines |= dict.fromkeys(_module_lines(name))
    text = _APACHE.format(
        folder=balancer.folder, page=balancer.page, port=balancer.port, modules="\n".join(lines)
    )
    balancer.main.write_text(text)
    return [balancer.program, "-DFOREGROUND", "-f", str(balancer.main)]


def _module_lines(name: str) -> list[str]:
    """Return the lines that load a module and those that it depends on, as a2enmod finds them."""
    text = (_APACHE_MODULES / f"{name}.load").read_text()
    depends = re.findall(r"^# Depends: (.+)$", text, re.MULTILINE)
    needed = [line for names in depends for other in names.split() for line in _module_lines(other)]
    return [*needed, *re.findall(r"^LoadModule .+$", text, re.MULTILINE)]


PROGRAMS = {"HAProxy": "haproxy", "nginx": "nginx", "Varnish": "varnishd", "Apache": "apache2"}
"""The programs by the headings of their sections."""

COMMANDS: dict[str, Callable[[Balancer], list[str]]] = {
    "HAProxy": _haproxy,
    "nginx": _nginx,
    "Varnish": _varnish,
    "Apache": _apache,
}


def _blocks(name: str, language: str = r"\w+", page: Path = PAGE) -> list[str]:
    section = page.read_text().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def _replace_ports(text: str, balancer: Balancer) -> str:
    """Return a block of the page with the addresses and ports of this machine."""
    for number, port in enumerate(balancer.replicas, 11):
        # `10.0.0.11:8000`, `10\.0\.0\.11:8000` in a pattern, and two lines for Varnish.
        address = rf"10(\\?\.)0\\?\.0\\?\.{number}(\W+(?:\.port\W+)?)8000"
        text = re.sub(address, rf"127\g<1>0\g<1>0\g<1>1\g<2>{port}", text)
    return re.sub(
        r"(bind |listen |VirtualHost )(?:\*?:)?80\b", rf"\g<1>127.0.0.1:{balancer.port}", text
    )
