"""Checks that aiohttp has the internals that the connections use."""

import aiohttp
from aiohttp import web, web_protocol

from aliaport.errors import StartupError

REQUIREMENT = "aiohttp>=3.14.4,<3.15"

_NAMES = (
    *("_buffer_paused", "_current_request", "_force_close", "_max_msg_queue_size", "_messages"),
    *("_msg_queue_resume_size", "_parser", "_payload_parser", "_reading_paused", "_request_count"),
    *("_resume_reading_if_drained", "_upgraded", "_waiter"),
)

_MODULE_NAMES = ("_ErrInfo",)


def check_aiohttp() -> None:
    """Raise StartupError if requests would hang: another version of aiohttp is installed."""
    missing = [name for name in _NAMES if not hasattr(web.RequestHandler, name)]
    missing += [name for name in _MODULE_NAMES if not hasattr(web_protocol, name)]
    if missing:
        raise StartupError(
            f"aiohttp {aiohttp.__version__} does not work with this version of aliaport: its "
            f"RequestHandler lacks {', '.join(missing)}; install {REQUIREMENT}"
        )
