"""Checks the bodies against the types of Elasticsearch's own client: the compiler knows every key."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.tsc import compiled

HERE = Path(__file__).parent / "types"
BODIES = Path(__file__).parents[2] / "deploy/elk/elasticsearch"
TYPES = {
    "api_key": ("SecurityCreateApiKeyRequest", None),
    "component_template": ("ClusterPutComponentTemplateRequest", "name"),
    "index_template": ("IndicesPutIndexTemplateRequest", "name"),
    "ingest_pipeline": ("IngestPutPipelineRequest", "id"),
    "role": ("SecurityPutRoleRequest", "name"),
}
WRONG_KEYS = {
    "api_key": ("role_descriptors", "aliaport-filebeat", "cluster"),
    "component_template/aliaport-fields": ("template", "mappings", "dynamic_templates"),
    "component_template/aliaport-shipping": (
        "template",
        "mappings",
        "properties",
        "tags",
        "ignore_above",
    ),
    "index_template": ("template", "lifecycle", "data_retention"),
    "ingest_pipeline": ("processors", 1, "set", "override"),
    "role": ("indices", 0, "privileges"),
}
FILES = sorted(BODIES.glob("*/*.json"))


def literal(file: Path, body: dict[str, Any]) -> str:
    """Return a TypeScript file that holds the body as a literal of its request's type."""
    request, name = TYPES[file.parent.name]
    full = {**({name: file.stem} if name else {}), **body}
    return (
        'import type { estypes } from "@elastic/elasticsearch";\n'
        f"export const body: estypes.{request} = {json.dumps(full, indent=2)};\n"
    )


def name(file: Path) -> str:
    return f"{file.parent.name}.{file.stem}"


def with_wrong_key(file: Path, body: dict[str, Any]) -> dict[str, Any]:
    kind = file.parent.name
    path = WRONG_KEYS.get(f"{kind}/{file.stem}") or WRONG_KEYS[kind]
    here: Any = (wrong := copy.deepcopy(body))
    for key in path[:-1]:
        here = here[key]
    here[f"{path[-1]}s_"] = here.pop(path[-1])
    return wrong


@pytest.mark.needs("tsc")
def test_every_body_has_the_type_of_its_request(tmp_path: Path) -> None:
    assert FILES
    sources = {name(file): literal(file, json.loads(file.read_text())) for file in FILES}
    assert compiled(tmp_path, HERE / "node_modules", sources) == {}


@pytest.mark.needs("tsc")
def test_a_wrong_key_in_any_body_is_noticed(tmp_path: Path) -> None:
    sources = {
        name(file): literal(file, with_wrong_key(file, json.loads(file.read_text())))
        for file in FILES
    }
    found = compiled(tmp_path, HERE / "node_modules", sources)
    assert found.keys() == sources.keys()
    for where, errors in found.items():
        assert "may only specify known properties" in errors[0], f"{where}: {errors}"
