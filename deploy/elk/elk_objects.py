"""Creates and updates Elasticsearch's objects, Kibana's saved objects and Filebeat's key."""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from elk_compare import holds, same
from elk_server import Server
from json_http import ScriptError

KINDS = {
    # In this order, because a template names its pipeline and its parts.
    "ingest_pipeline": "_ingest/pipeline",
    "component_template": "_component_template",
    "index_template": "_index_template",
    "role": "_security/role",
}


class Setup:
    """One run over all objects."""

    def __init__(
        self, elasticsearch: Server, kibana: Server, *, folder: Path, dry_run: bool
    ) -> None:
        self.elasticsearch = elasticsearch
        self.kibana = kibana
        self.folder = folder
        self.dry_run = dry_run
        self.outcomes: dict[str, str] = {}

    def say(self, what: str, outcome: str) -> None:
        """Print and remember the outcome of one object."""
        self.outcomes[what] = outcome
        word = f"would be {outcome}" if self.dry_run and outcome != "unchanged" else outcome
        sys.stdout.write(f"{word:<{20 if self.dry_run else 11}}{what}\n")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to Elasticsearch; a dry run skips those that would change something."""
        if self.dry_run and method != "GET":
            return None
        return self.elasticsearch.request(method, path, body)

    def objects(self) -> None:
        """Create or update the pipeline, the templates and the roles."""
        for kind, api in KINDS.items():
            for file in sorted((self.folder / "elasticsearch" / kind).glob("*.json")):
                name, body = file.stem, json.loads(file.read_text())
                response = self.request("GET", f"{api}/{name}")
                if response is None:
                    outcome = "created"
                else:
                    listed = response.get(f"{kind}s")
                    found = listed[0][kind] if listed else response[name]
                    outcome = "unchanged" if same(body, found) else "changed"
                if outcome != "unchanged":
                    self.request("PUT", f"{api}/{name}", body)
                self.say(f"{kind}/{name}", outcome)

    def streams(self) -> None:
        """Create or update the data streams: a template alone does not change existing ones."""
        for file in sorted((self.folder / "elasticsearch/index_template").glob("*.json")):
            template = json.loads(file.read_text())
            parts = [f"component_template/{part}" for part in template["composed_of"]]
            stale = any(
                self.outcomes[part] != "unchanged"
                for part in (f"index_template/{file.stem}", *parts)
            )
            name = template["index_patterns"][0].replace("*", "default")
            self.say(f"data_stream/{name}", self._stream(name, template["template"], stale))

    def _stream(self, name: str, template: dict[str, Any], stale: bool) -> str:
        response = self.request("GET", f"_data_stream/{name}")
        if response is None:
            self.request("PUT", f"_data_stream/{name}")
            return "created"
        changed = stale
        if stale:
            self.request("POST", f"{name}/_rollover?lazy=true")
        found = response["data_streams"][0]
        if not same(template["lifecycle"], found.get("lifecycle", {})):
            self.request("PUT", f"_data_stream/{name}/_lifecycle", template["lifecycle"])
            changed = True
        options = template["data_stream_options"]
        if found.get("failure_store", {}).get("enabled") != options["failure_store"]["enabled"]:
            self.request("PUT", f"_data_stream/{name}/_options", options)
            changed = True
        aliases = (self.request("GET", f"{name}/_alias") or {}).get(name, {}).get("aliases", {})
        missing = [alias for alias in template["aliases"] if alias not in aliases]
        if missing:
            actions = [{"add": {"index": name, "alias": alias}} for alias in missing]
            self.request("POST", "_aliases", {"actions": actions})
            changed = True
        return "changed" if changed else "unchanged"

    def saved_objects(self) -> None:
        """Import data views, searches and the dashboard; import all of them if one differs."""
        data = (self.folder / "kibana/aliaport.ndjson").read_bytes()
        ours = [json.loads(line) for line in data.splitlines()]
        types = sorted({item["type"] for item in ours})
        query = {"type": types, "excludeExportDetails": True}
        response = self.kibana.request("POST", "api/saved_objects/_export", query) or []
        exported = response if isinstance(response, list) else [response]
        theirs = {(item["type"], item["id"]): item for item in exported}
        outcomes = {}
        for item in ours:
            found = theirs.get((item["type"], item["id"]))
            equal = found and holds(item["attributes"], found["attributes"])
            outcome = "unchanged" if equal else "changed" if found else "created"
            outcomes[f"{item['type']}/{item['id']}"] = outcome
        if set(outcomes.values()) != {"unchanged"} and not self.dry_run:
            self._import(data, len(ours))
        for what, outcome in outcomes.items():
            self.say(what, outcome)

    def _import(self, data: bytes, count: int) -> None:
        boundary = uuid.uuid4().hex
        head = (
            f"--{boundary}\r\nContent-Type: application/ndjson\r\n"
            'Content-Disposition: form-data; name="file"; filename="aliaport.ndjson"\r\n\r\n'
        )
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        form = f"multipart/form-data; boundary={boundary}"
        path = "api/saved_objects/_import?overwrite=true"
        response = self.kibana.request("POST", path, body, form)
        if not isinstance(response, dict) or not response.get("success") or response.get("errors"):
            errors = response.get("errors", []) if isinstance(response, dict) else []
            failed = ", ".join(
                f"{e.get('type')}/{e.get('id')} ({e.get('error', {}).get('type')})" for e in errors
            )
            raise ScriptError(
                f"{self.kibana}: did not import {failed or 'the saved objects'}; check that "
                "kibana/aliaport.ndjson is complete and supports this version of Kibana"
            )
        if response.get("successCount") != count:
            raise ScriptError(
                f"{self.kibana}: imported {response.get('successCount')} of {count} saved objects; "
                "run setup again"
            )

    def filebeat_key(self, file: Path) -> None:
        """Create a key that may only write our streams, and write it only to the file."""
        if not self.dry_run:
            body = json.loads(
                (self.folder / "elasticsearch/api_key/aliaport-filebeat.json").read_text()
            )
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                try:
                    key = self.elasticsearch.request("POST", "_security/api_key", body)
                    out.write(f"{key['id']}:{key['api_key']}\n")
                except BaseException:
                    file.unlink()
                    raise
        self.say(f"api_key/aliaport-filebeat in {file}", "created")
