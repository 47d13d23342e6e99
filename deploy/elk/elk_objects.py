"""What `setup` makes: the objects of Elasticsearch, the saved objects of Kibana, Filebeat's key."""

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
    # In the order of need: a template names its pipeline and its parts.
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
        """Tell and remember what became of one object."""
        self.outcomes[what] = outcome
        word = f"would be {outcome}" if self.dry_run and outcome != "unchanged" else outcome
        sys.stdout.write(f"{word:<{20 if self.dry_run else 11}}{what}\n")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Elasticsearch; what would change something is left out in a dry run."""
        if self.dry_run and method != "GET":
            return None
        return self.elasticsearch.ask(method, path, body)

    def objects(self) -> None:
        """The pipeline, the templates and the roles."""
        for kind, api in KINDS.items():
            for file in sorted((self.folder / "elasticsearch" / kind).glob("*.json")):
                name, body = file.stem, json.loads(file.read_text())
                answer = self.ask("GET", f"{api}/{name}")
                if answer is None:
                    outcome = "created"
                else:
                    found = answer[f"{kind}s"][0][kind] if f"{kind}s" in answer else answer[name]
                    outcome = "unchanged" if same(body, found) else "changed"
                if outcome != "unchanged":
                    self.ask("PUT", f"{api}/{name}", body)
                self.say(f"{kind}/{name}", outcome)

    def streams(self) -> None:
        """The data streams themselves: a template alone changes none that is already there."""
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
        answer = self.ask("GET", f"_data_stream/{name}")
        if answer is None:
            self.ask("PUT", f"_data_stream/{name}")
            return "created"
        changed = stale
        if stale:
            self.ask("POST", f"{name}/_rollover?lazy=true")
        found = answer["data_streams"][0]
        if not same(template["lifecycle"], found.get("lifecycle", {})):
            self.ask("PUT", f"_data_stream/{name}/_lifecycle", template["lifecycle"])
            changed = True
        options = template["data_stream_options"]
        if found.get("failure_store", {}).get("enabled") != options["failure_store"]["enabled"]:
            self.ask("PUT", f"_data_stream/{name}/_options", options)
            changed = True
        aliases = (self.ask("GET", f"{name}/_alias") or {}).get(name, {}).get("aliases", {})
        missing = [alias for alias in template["aliases"] if alias not in aliases]
        if missing:
            actions = [{"add": {"index": name, "alias": alias}} for alias in missing]
            self.ask("POST", "_aliases", {"actions": actions})
            changed = True
        return "changed" if changed else "unchanged"

    def saved_objects(self) -> None:
        """Data views, searches and the dashboard: all are imported when one differs."""
        data = (self.folder / "kibana/aliaport.ndjson").read_bytes()
        ours = [json.loads(line) for line in data.splitlines()]
        types = sorted({each["type"] for each in ours})
        query = {"type": types, "excludeExportDetails": True}
        answer = self.kibana.ask("POST", "api/saved_objects/_export", query) or []
        exported = answer if isinstance(answer, list) else [answer]
        theirs = {(each["type"], each["id"]): each for each in exported}
        outcomes = {}
        for each in ours:
            found = theirs.get((each["type"], each["id"]))
            equal = found and holds(each["attributes"], found["attributes"])
            outcome = "unchanged" if equal else "changed" if found else "created"
            outcomes[f"{each['type']}/{each['id']}"] = outcome
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
        answer = self.kibana.ask("POST", "api/saved_objects/_import?overwrite=true", body, form)
        if not isinstance(answer, dict) or not answer.get("success") or answer.get("errors"):
            errors = answer.get("errors", []) if isinstance(answer, dict) else []
            told = ", ".join(
                f"{e.get('type')}/{e.get('id')} ({e.get('error', {}).get('type')})" for e in errors
            )
            raise ScriptError(
                f"{self.kibana}: did not import {told or 'the saved objects'}; is "
                "kibana/aliaport.ndjson whole, and made for this version of Kibana?"
            )
        if answer.get("successCount") != count:
            raise ScriptError(
                f"{self.kibana}: imported {answer.get('successCount')} of {count} saved objects; "
                "run setup again"
            )

    def filebeat_key(self, file: Path) -> None:
        """Make a key that may only write our streams; it goes into the file and nowhere else."""
        if not self.dry_run:
            body = json.loads(
                (self.folder / "elasticsearch/api_key/aliaport-filebeat.json").read_text()
            )
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                try:
                    key = self.elasticsearch.ask("POST", "_security/api_key", body)
                    out.write(f"{key['id']}:{key['api_key']}\n")
                except BaseException:
                    file.unlink()
                    raise
        self.say(f"api_key/aliaport-filebeat in {file}", "created")
