"""The mistakes that authors make most often: each is named with its stage, line and correction."""

import importlib
import math
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from aliaport.errors import AliaportError
from aliaport.host.discovery import Candidate, RejectedError, scan
from aliaport.host.loading import load, plugin_class
from aliaport.plugin import Check, Collector, Job, Metric, Plugin, PluginConfig, Probe, Schedule
from aliaport.testing import run_plugin
from tests.host.test_discovery import found
from tests.support.distributions import install


class Base(Plugin[PluginConfig]):
    api = (1, 0)
    declared: Callable[..., Any]

    def probes(self) -> Any:
        return self.declared()

    async def check(self) -> Check:
        return Check.healthy()

    def yields(self) -> Any:
        yield Check.healthy()

    async def yields_async(self) -> Any:
        yield Check.healthy()


async def check_alone() -> Check:
    return Check.healthy()


def plugin(declared: Callable[[Any], Any]) -> type[Plugin[Any]]:
    return type("Made", (Base,), {"declared": declared, "__module__": __name__})


class WithoutParameters(Base):
    def __init__(self) -> None:
        pass


class WithoutSuper(Base):
    def __init__(self, config: Any, context: Any) -> None:
        pass

    def probes(self) -> Any:
        return [Probe(name=str(self.config), run=self.check)]


class Opening(Base):
    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        Path("/no/such/file").read_text()


class Looking(Base):
    def __init__(self, config: Any, context: Any) -> None:
        raise KeyError("shelf")


class BadCounter(Base):
    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        context.counter(Metric.counter("aliaport_other_seen_total", "Seen."))


class Waiting(Base):
    async def probes(self) -> Any:  # type: ignore[override]
        return []


class Yielding(Base):
    declared = list

    async def start(self) -> Any:
        yield 1


FREE = Metric.gauge("aliaport_made_free", "Free.")
WITHOUT_LINE = (
    "a constructor without parameters",
    "probes that are async",
    "a start that is a gen",
)


MISTAKES: dict[str, tuple[type[Plugin[Any]], str, str, str]] = {
    "the name of a probe": (
        plugin(lambda self: [Probe(name="My Disk", run=self.check)]),
        "declare", "probe 'My Disk': the name must match", "for example to 'my_disk'",
    ),
    "the name of a metric": (
        plugin(lambda self: Metric.gauge("disk-free", "Free.")),
        "declare", "metric 'disk-free': the name must match", "rename it to aliaport_<plugin>_",
    ),
    "a metric without the prefix": (
        BadCounter, "declare", "must begin with 'aliaport_made_'", "'aliaport_made_other_seen_tot",
    ),
    "a job without a timeout": (
        plugin(lambda self: [Job(name="x", run=self.check, every=60)]),  # type: ignore[call-arg]
        "declare", "Job.__init__() missing 1 required", "pass timeout=… to Job",
    ),
    "a job with another timeout": (
        plugin(lambda self: [Job(name="x", run=self.check, every=60, timeout_s=3)]),  # type: ignore[call-arg]
        "declare", "unexpected keyword argument 'timeout_s'", "Job accepts: name, run, every, timeout",
    ),
    "a called method": (
        plugin(lambda self: [Probe(name="x", run=self.check())]),
        "declare", "run must be a function", "without parentheses: run=self.check",
    ),
    "a called method of a job": (
        plugin(lambda self: [Job(name="x", run=self.check(), every=60, timeout=3)]),
        "declare", "run must be a function", "without parentheses: run=self.check",
    ),
    "a called function": (
        plugin(lambda _: [Probe(name="x", run=check_alone())]),  # type: ignore[arg-type]
        "declare", "run must be a function", "without parentheses: run=check_alone",
    ),
    "a result as method": (
        plugin(lambda self: [Probe(name="x", run=Check.healthy())]),  # type: ignore[arg-type]
        "declare", "not Check", "without parentheses",
    ),
    "a generator as probe": (
        plugin(lambda self: [Probe(name="x", run=self.yields)]),
        "declare", "probe 'x': run contains `yield`", "return the value instead",
    ),
    "an async generator as probe": (
        plugin(lambda self: [Probe(name="x", run=self.yields_async)]),
        "declare", "probe 'x': run contains `yield`", "return the value instead",
    ),
    "a generator as job": (
        plugin(lambda self: [Job(name="x", run=self.yields, every=60, timeout=3)]),
        "declare", "job 'x': run contains `yield`", "return the value instead",
    ),
    "an async generator as collector": (
        plugin(lambda self: [Collector((FREE,), self.yields_async)]),
        "declare", "collector aliaport_made_free: run contains", "a list, or define it with `def`",
    ),
    "a function with a parameter": (
        plugin(lambda self: [Probe(name="x", run=lambda it: it)]),  # type: ignore[arg-type]
        "declare", "run must not need arguments: missing a required argument: 'it'", "a bound method",
    ),
    "a timeout that is text": (
        plugin(lambda self: [Probe(name="x", run=self.check, timeout="1")]),  # type: ignore[arg-type]
        "declare", "timeout must be a number, not '1' (str)", "without quotes",
    ),
    "a timeout that is None": (
        plugin(lambda self: [Job(name="x", run=self.check, every=60, timeout=None)]),  # type: ignore[arg-type]
        "declare", "job 'x': timeout must be a number, not None", "pass a number",
    ),
    "a pause that is text": (
        plugin(lambda self: [Job(name="x", run=self.check, every="60", timeout=3)]),  # type: ignore[arg-type]
        "declare", "job 'x': every must be a number, not '60'", "without quotes",
    ),
    "a timeout of a collector that is text": (
        plugin(lambda self: [Collector((FREE,), list, timeout="5")]),  # type: ignore[arg-type]
        "declare", "collector aliaport_made_free: timeout must be a number", "without quotes",
    ),
    "a timeout of a collector that is nan": (
        plugin(lambda self: [Collector((FREE,), list, timeout=math.nan)]),
        "declare", "timeout must be a number, not nan", "pass a number",
    ),
    "a margin that is text": (
        plugin(lambda self: Schedule("* * * * *", margin="3")),  # type: ignore[arg-type]
        "declare", "margin must be a number, not '3'", "without quotes",
    ),
    "a schedule that is a number": (
        plugin(lambda self: Schedule(5)), "declare", "must be text, not 5 (int)", "pass a str",  # type: ignore[arg-type]
    ),
    "a gauge without help": (
        plugin(lambda self: Metric.gauge("aliaport_made_x")),  # type: ignore[call-arg]
        "declare", "missing 1 required positional argument: 'help'", "pass help=… to Metric.gauge",
    ),
    "a metric without help": (
        plugin(lambda self: Metric("aliaport_made_x")),  # type: ignore[call-arg]
        "declare", "missing 1 required positional argument: 'help'", "pass help=… to Metric",
    ),
    "help of another type": (
        plugin(lambda self: Metric.counter("aliaport_made_x_total", None)),  # type: ignore[arg-type]
        "declare", "help must be text, not None", "pass a str",
    ),
    "a gauge with another parameter": (
        plugin(lambda self: Metric.gauge("aliaport_made_x", "X.", label="a")),  # type: ignore[call-arg]
        "declare", "unexpected keyword argument 'label'", "Metric.gauge accepts: name, help, labels",
    ),
    "labels that are text": (
        plugin(lambda self: Metric.gauge("aliaport_made_x", "X.", "hall")),
        "declare", "labels must be a list, not 'hall' (str)", "write ('hall',)",
    ),
    "an infinite bucket": (
        plugin(lambda self: Metric.histogram("aliaport_made_x", "X.", (), (1, math.inf))),
        "declare", "buckets must be finite", "leave out infinity",
    ),
    "words that are text": (
        plugin(lambda self: [Probe(name="x", run=self.check, words="ok")]),  # type: ignore[arg-type]
        "declare", "words must be two words", "write the word of a result that works first",
    ),
    "a title that is not valid Unicode": (
        plugin(lambda self: [Probe(name="x", run=self.check, title="\ud800")]),
        "declare", "probe 'x': title is not valid Unicode", "remove the lone surrogates",
    ),
    "a title that is too long": (
        plugin(lambda self: [Probe(name="x", run=self.check, title="x" * 201)]),
        "declare", "probe 'x': title must have at most 200 characters", "shorten it",
    ),
    "a critical that is text": (
        plugin(lambda self: [Probe(name="x", run=self.check, critical="no")]),  # type: ignore[arg-type]
        "declare", "probe 'x': critical must be True or False", "write critical=True",
    ),
    "a default that is an object": (
        plugin(lambda self: [Probe(name="x", run=self.check, section_defaults={"a": object()})]),  # type: ignore[dict-item]
        "declare", "section_defaults: a must be text, a number", "convert it",
    ),
    "defaults that are a list": (
        plugin(lambda self: [Probe(name="x", run=self.check, section_defaults=["a"])]),  # type: ignore[arg-type]
        "declare", "section_defaults must be a mapping", "write {'key': None}",
    ),
    "probes that are async": (
        Waiting, "declare", "probes() is an async function", "define it with `def`",
    ),
    "a start that is a generator": (
        Yielding, "declare", "start() contains `yield`", "remove `yield` from start()",
    ),
    "names of families": (
        plugin(lambda self: [Collector(("aliaport_made_x",), list)]),  # type: ignore[arg-type]
        "declare", "at least one metric family, and only those", "a list of Metric",
    ),
    "a constructor without parameters": (
        WithoutParameters, "construct", "__init__() takes 1 positional argument",
        "define __init__(self, config, context)",
    ),
    "a constructor without super": (
        WithoutSuper, "declare", "no attribute 'config'", "call super().__init__(config, context)",
    ),
    "I/O in the constructor": (
        Opening, "construct", "FileNotFoundError", "constructors must not do I/O; move it to start",
    ),
    "any other fault of the constructor": (
        Looking, "construct", "KeyError: 'shelf'", "correct that line of the constructor",
    ),
    "I/O in probes": (
        plugin(lambda self: Path("/no/such/file").read_text()),
        "declare", "FileNotFoundError", "probes() must not do I/O; move it to start()",
    ),
    "any other fault in probes": (
        plugin(lambda self: dict[str, int]()["shelf"]), "declare", "KeyError", "it returns a list of Probe",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_in_a_declaration_is_named_with_its_line_and_correction(kind: str) -> None:
    made, stage, reason, hint = MISTAKES[kind]
    with pytest.raises(AliaportError) as raised, run_plugin(made, name="made"):
        pass
    text = str(raised.value)
    assert text.startswith(f"{stage}: ")
    assert reason in text
    assert hint in text.rpartition("; ")[2] or hint in text
    if not kind.startswith(WITHOUT_LINE):
        assert "test_hints.py:" in text, "the author's line"
    if "I/O in" not in kind and kind != "names of families":
        assert "I/O" not in text


IMPORTS: dict[str, tuple[str, str, str, str, str]] = {
    "I/O": (
        "open('/no/such/file')", ":X", "import", "FileNotFoundError", "importing must not do I/O",
    ),
    "an exit": ("import sys\nsys.exit(3)", ":X", "import", "SystemExit: 3", "remove the call of ex"),
    "a dot for the colon": (
        "class X: pass", ".X", "import", "No module named", "with a colon: 'MODULE:X'",
    ),
    "two colons": ("class X: pass", ":X:Y", "import", "", "as 'package.module:ClassName'"),
    "a value that cannot be a name": ("class X: pass", ":!!!", "import", "is not a valid entry", "as 'pack"),
    "no such class": (
        "from aliaport.plugin import Plugin\nclass Found(Plugin): pass", ":X", "import",
        "has no attribute 'X'", "MODULE has: 'MODULE:Found'",
    ),
    "no such attribute of a class": (
        "class X: pass", ":X.part", "import", "has no attribute 'part'", "or the entry point: 'packa",
    ),
    "a missing package": (
        "import absent_package.part", ":X", "import", "No module named 'absent_package'",
        "install absent_package, which aliaport-x should depend on",
    ),
    "a missing package without a name": (
        "raise ModuleNotFoundError('of no name')", ":X", "import", "ModuleNotFoundError: of no na",
        "reinstall or upgrade aliaport-x",
    ),
    "a missing part of its own": (
        "import MODULE.part", ":X", "import", "No module named 'MODULE.part'", "reinstall or upgra",
    ),
    "a wrong metric": (
        "from aliaport.plugin import Metric\nFREE = Metric.gauge('free', 'Free.')", ":X",
        "declare", "metric 'free': the name must match", "rename it to aliaport_<plugin>_",
    ),
    "any other fault": ("{}['shelf']", ":X", "import", "KeyError: 'shelf'", "report that line"),
    "a module": (
        "from aliaport.plugin import Plugin\nclass Found(Plugin): pass", "", "type",
        "is module, not a subclass", "MODULE has: 'MODULE:Found'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMPORTS)
def test_a_mistake_in_a_module_or_entry_point_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, attribute, stage, reason, hint = IMPORTS[kind]
    module = f"hinted_{list(IMPORTS).index(kind)}"
    (tmp_path / f"{module}.py").write_text(code.replace("MODULE", module) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    entry = EntryPoint("x", f"{module}{attribute}", "aliaport.plugins")
    candidate = Candidate("plugins", "x", entry, "aliaport-x", "1.0")
    with pytest.raises(RejectedError) as raised:
        plugin_class(candidate, load(candidate))
    rejection = raised.value.rejection
    assert rejection.stage == stage
    assert rejection.reason.startswith(entry.value)
    assert reason.replace("MODULE", module) in rejection.reason
    assert hint.replace("MODULE", module) in rejection.hint
    if kind in ("I/O", "an exit", "a missing package", "a wrong metric", "any other fault"):
        assert f"(at {module}.py:{len(code.splitlines())} in <module>: " in rejection.reason


@pytest.mark.parametrize(
    ("api", "shown"),
    [("1.0", "'1.0'"), (1.0, "1.0"), ([1, 0], "[1, 0]"), ((1,), "(1,)"), ((True, 0), "(True, 0)")],
)
def test_an_api_of_another_type_is_shown(api: Any, shown: str) -> None:
    made = type("Made", (Base,), {"api": api, "declared": list, "__module__": __name__})
    with pytest.raises(AliaportError) as raised, run_plugin(made, name="made"):
        pass
    expected = (
        f"Made declares its plugin API version as {shown}; its authors must set `api = (1, 0)`"
    )
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "stage", "reason"),
    [
        ("!!!", "a:B", "name", "the entry point's name '!!!' does not match [a-z]"),
        ("", "a:B", "name", "the entry point's name '' does not match [a-z]"),
        ("aliaport", "a:B", "name", "the entry point's name 'aliaport' is reserved"),
        ("fine", "", "import", "its entry point is empty"),
        ("fine", "!!!", "import", "!!!: is not a valid entry point"),
        ("fine", ":B", "import", ":B: is not a valid entry point"),
    ],
)
def test_an_entry_point_that_cannot_be_is_explained(
    tmp_path: Path, name: str, value: str, stage: str, reason: str
) -> None:
    install(tmp_path, "one", {name: value})
    (candidate,) = scan(None, (), found(tmp_path))
    rejection = candidate.rejection
    if rejection is None:
        with pytest.raises(RejectedError) as raised:
            load(candidate)
        rejection = raised.value.rejection
    assert (rejection.stage, rejection.hint[:17]) == (stage, "its authors must ")
    assert rejection.reason.startswith(reason)


@pytest.mark.parametrize(
    ("group", "meant"),
    [
        ("aliaport.plugin", "aliaport.plugins"),
        ("aliaport_plugins", "aliaport.plugins"),
        ("Aliaport.Plugins", "aliaport.plugins"),
        ("aliaport.app", "aliaport.apps"),
    ],
)
def test_a_group_that_is_nearly_right_is_named(tmp_path: Path, group: str, meant: str) -> None:
    install(tmp_path, "one", groups={group: {"shelf": "a:B"}})
    (candidate,) = scan(None, (), found(tmp_path))
    assert candidate.rejection is not None
    assert candidate.rejection.stage == "group"
    assert repr(group) in candidate.rejection.reason
    assert repr(meant) in candidate.rejection.hint
    assert not candidate.rejection.outranked


@pytest.mark.parametrize(
    "group", ["console_scripts", "aliaport.plugins.extra", "aliaport", "plugins"]
)
def test_other_groups_are_not_the_service_s(tmp_path: Path, group: str) -> None:
    install(tmp_path, "one", groups={group: {"shelf": "a:B"}})
    assert scan(None, (), found(tmp_path)) == []
