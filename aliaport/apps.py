"""The API for mounted applications: their declaration, errors and responses.

An application is trusted: it runs on the HTTP loop, and blocking there blocks /health.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from aliaport import forwarded
from aliaport.contract.rules import matches, names, text
from aliaport.deprecation import renamed
from aliaport.errors import AliaportError, DeclarationError
from aliaport.forwarded import Networks
from aliaport.plugin import API_VERSION, Context, PluginConfig

__all__ = [
    "API_VERSION",
    "ERROR_SCHEMA",
    "TRUSTED_PROXIES",
    "ApiDescription",
    "App",
    "Context",
    "PluginConfig",
    "Refusal",
    "client_address",
    "data_response",
    "invalid_fields",
]

MAX_PATH = 200
"""Characters of a prefix."""

PREFIX = re.compile(r"(/[a-z0-9][a-z0-9_.-]*)+")
RESERVED_PATHS = ("/health", "/ready", "/status", "/metrics")

ERROR_SCHEMA: Mapping[str, str] = {"$ref": "#/components/schemas/Error"}
"""The schema of every error response, which the service adds to the OpenAPI document."""

MAX_FAULTS = 20
"""Faults that one error response lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDescription:
    """An application's part of the OpenAPI 3.1 document at `/api/openapi.json`.

    `paths` has the path items by full path; they refer to the names in `schemas` and
    `security_schemes`, and to `ERROR_SCHEMA`. `error_codes` are the codes of the application's
    errors by status, `error_details` the schemas of the keys beside code and message.
    """

    summary: str
    paths: Mapping[str, Any]
    schemas: Mapping[str, Any] = field(default_factory=dict)
    security_schemes: Mapping[str, Any] = field(default_factory=dict)
    error_codes: Mapping[int, Sequence[str]] = field(default_factory=dict)
    error_details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Declares an aiohttp application for the group `aliaport.apps`.

    `create(context, options)` returns a fresh `web.Application`; it is called again after a failed
    start. Acquire resources in its `cleanup_ctx`, which has 10 s to start, apart from migrations,
    and 3 s to stop by default. `prefix` is the path under which it responds, `config` the model of
    its options `[apps.<name>]`. To respond under several paths, set `paths` instead of `prefix` and
    give the routes their full paths. `describe` returns its part of the OpenAPI
    document; it is called once, after the import.
    """

    create: Callable[[Context, Any], web.Application]
    prefix: str = ""
    paths: tuple[str, ...] = ()
    config: type[PluginConfig] = PluginConfig
    describe: Callable[[], ApiDescription] | None = None
    api: tuple[int, int] = API_VERSION

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        _require_create(self.create)
        text(self.prefix, "the prefix of an application", MAX_PATH)
        object.__setattr__(self, "paths", names(self.paths, "the paths of an application"))
        if bool(self.prefix) == bool(self.paths):
            raise DeclarationError(
                "an application must declare either prefix or paths", "set one of them"
            )
        if not (isinstance(self.config, type) and issubclass(self.config, PluginConfig)):
            raise DeclarationError(
                f"config must be a class derived from PluginConfig, not {self.config!r:.60}",
                "pass the class itself, such as config=MyConfig",
            )
        for root in self.roots:
            if not matches(PREFIX, root):
                raise DeclarationError(
                    f"prefix {root!r} must look like /operations, with no trailing /",
                    "use lowercase letters, digits, and _.- inside",
                )
            if any(root == path or root.startswith(f"{path}/") for path in RESERVED_PATHS):
                raise DeclarationError(
                    f"prefix {root!r} is reserved for the service", "choose another"
                )

    @property
    def roots(self) -> tuple[str, ...]:
        """The paths under which the application responds."""
        return self.paths or (self.prefix,)

    def root_of(self, path: str) -> str:
        """Return the root that contains `path`, or ''."""
        return next((root for root in self.roots if f"{path}/".startswith(f"{root}/")), "")


def _require_create(create: object) -> None:
    """Raise DeclarationError unless `create` is a plain function of two arguments."""
    if not callable(create):
        raise DeclarationError(
            f"create must be a function, not {type(create).__name__}",
            "pass the function itself, without parentheses: create=create_app",
        )
    if inspect.iscoroutinefunction(create) or inspect.isasyncgenfunction(create):
        raise DeclarationError(
            "create must not be an async function",
            "define it with `def`, and acquire resources in the application's cleanup_ctx",
        )
    try:
        inspect.signature(create).bind(None, None)
    except TypeError:
        raise DeclarationError(
            "create must accept the context and the options", "define create(context, options)"
        ) from None
    except ValueError:  # a function of C without a signature
        return


class Refusal(AliaportError):
    """An error response in the common format; raise it in a handler.

    `code` is a short constant for programs, `message` a sentence for people that says what to do,
    `details` further keys beside them, such as the name of a wrong parameter. Raises ValueError for
    a `status` that no error response can have.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **details: Any,
    ) -> None:
        if not (isinstance(status, int) and 300 <= status <= 599 and status != 304):
            raise ValueError(f"a refusal cannot have the status {status!r}; use one of 400 to 599")
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = details


def invalid_fields(faults: Sequence[Mapping[str, str]], **details: Any) -> Refusal:
    """Return the error (422) for fields or parameters.

    Each fault has a `path`, such as `body.title` or `query.date`, and a `message` that says what is
    wrong with it. `details` are further keys of the error.
    """
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    text = f"{first['path']}: {first['message']}{more}"
    return Refusal(422, "invalid", text, fields=list(faults[:MAX_FAULTS]), **details)


TRUSTED_PROXIES: web.AppKey[Networks] = web.AppKey("trusted_proxies", tuple)
"""The key of the service's `trusted_proxies` setting, which every mounted application can read."""


def client_address(request: web.Request) -> str:
    """Return the caller's address, skipping the service's trusted proxies; '' if there is none."""
    return forwarded.client_address(
        request.remote, request.headers, request.config_dict[TRUSTED_PROXIES]
    )


def data_response(
    data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return `{"success": true, "data": …}` as JSON, not to be stored unless `headers` say so."""
    return web.Response(
        body=orjson.dumps({"success": True, "data": data}),
        status=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        content_type="application/json",
    )


if not TYPE_CHECKING:  # type checkers see the new name only
    __getattr__ = renamed(__name__, {"data_answer": ("data_response", data_response)})
