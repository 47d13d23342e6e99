"""Doctor reads Alertmanager's configuration as a real YAML parser does."""

from typing import Any

import pytest
import yaml

from aliaport.doctor.receivers import integrations

ODD = """\
global:
  receiver: nobody
route:
  receiver: 'a: b'
  routes:
  - receiver: "quo\\"ted"
    matchers:
    - alertname="receiver: none"
    routes:
    - receiver: it''s
receivers:
- name: 'a: b'
  opsgenie_configs:
  - responders:
    - name: team
      type: team
    description: |-
      slack_configs:
        email_configs:
  msteamsv2_configs:
  - send_resolved: false
- name: "quo\\"ted"
  email_configs:
  - to: a@b.c
- name: it''s
- name: unrouted
  slack_configs:
  - channel: '#a'
templates: []
"""


def parsed(text: str) -> dict[str, set[str]]:
    config: dict[str, Any] = yaml.safe_load(text)
    names: set[str] = set()
    routes = [config["route"]]
    while routes:
        route = routes.pop()
        names.add(route["receiver"])
        routes += route.get("routes", [])
    return {
        receiver["name"]: {k.removesuffix("_configs") for k in receiver if k.endswith("_configs")}
        for receiver in config["receivers"]
        if receiver["name"] in names
    }


def indented(text: str) -> str:
    """Return the text as another version of the YAML writer would indent it."""
    written = yaml.safe_dump(yaml.safe_load(text), sort_keys=False, indent=2, width=1000)
    return "\n".join(
        f"  {line}" if line.startswith(("-", " ")) and inside else line
        for line, inside in _with_section(written)
    )


def _with_section(text: str) -> list[tuple[str, bool]]:
    found, inside = [], False
    for line in text.splitlines():
        if line[:1] not in "- ":
            inside = line == "receivers:"
        found.append((line, inside))
    return found


@pytest.mark.parametrize("text", [ODD, indented(ODD)], ids=["as written", "indented"])
def test_odd_names_and_texts(text: str) -> None:
    assert parsed(text).keys() == parsed(ODD).keys()
    assert integrations(text) == parsed(text)
    assert integrations(text)["a: b"] == {"opsgenie", "msteamsv2"}


def test_an_empty_configuration_has_no_receivers() -> None:
    assert integrations("") == {}
