"""A web server on loopback that serves bulletins as the central bank does, faults included."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

CURRENCIES: Mapping[str, tuple[int, str, str, str]] = {
    "USD": (1, "ABD DOLARI", "US DOLLAR", "41.8931"),
    "AUD": (1, "AVUSTRALYA DOLARI", "AUSTRALIAN DOLLAR", "27.0397"),
    "DKK": (1, "DANİMARKA KRONU", "DANISH KRONE", "6.5458"),
    "EUR": (1, "EURO", "EURO", "48.9859"),
    "GBP": (1, "İNGİLİZ STERLİNİ", "POUND STERLING", "55.1864"),
    "KWD": (1, "KUVEYT DİNARI", "KUWAITI DINAR", "135.4711"),
    "JPY": (100, "JAPON YENİ", "JAPENESE YEN", "27.7421"),
    "IRR": (100, "İRAN RİYALİ", "IRANIAN RIAL", "0.0995"),
}
"""Unit, names and forex buying rate of the currencies that `document` lists, besides the XDR."""

_ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>404</title></head><body>Sayfa bulunamadı</body></html>"
)


def document(
    day: date, *, percent: float = 0.0, number: str = "", only: tuple[str, ...] = ()
) -> bytes:
    """Return a bulletin of the documented structure; `percent` moves all its rates."""
    factor = 1 + Decimal(str(percent)) / 100
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<?xml-stylesheet type="text/xsl" href="isokur.xsl"?>',
        f'<Tarih_Date Tarih="{day:%d.%m.%Y}" Date="{day:%m/%d/%Y}"  '
        f'Bulten_No="{number or f"{day.year}/{day.timetuple().tm_yday}"}" >',
    ]
    for order, (code, (unit, name, name_en, text)) in enumerate(CURRENCIES.items()):
        if only and code not in only:
            continue
        buying = (Decimal(text) * factor).quantize(Decimal("0.0001"))
        banknotes = [f"{buying:.4f}", f"{buying * Decimal('1.0033'):.4f}"]
        if code == "IRR":
            banknotes = ["", ""]
        lines += [
            f'\t<Currency CrossOrder="{order}" Kod="{code}" CurrencyCode="{code}">',
            f"\t\t\t<Unit>{unit}</Unit>",
            f"\t\t\t<Isim>{name:<18}</Isim>",
            f"\t\t\t<CurrencyName>{name_en}</CurrencyName>",
            f"\t\t\t<ForexBuying>{buying}</ForexBuying>",
            f"\t\t\t<ForexSelling>{buying * Decimal('1.0018'):.4f}</ForexSelling>",
            f"\t\t\t<BanknoteBuying>{banknotes[0]}</BanknoteBuying>",
            f"\t\t\t<BanknoteSelling>{banknotes[1]}</BanknoteSelling>",
            "\t\t\t<CrossRateUSD/>\n\t\t\t<CrossRateOther/>",
            "\t</Currency>",
        ]
    lines += [
        '\t<Currency CrossOrder="21" Kod="XDR" CurrencyCode="XDR">',
        "\t\t\t<Unit>1</Unit>",
        "\t\t\t<Isim>ÖZEL ÇEKME HAKKI (SDR)                            </Isim>",
        "\t\t\t<CurrencyName>SPECIAL DRAWING RIGHT (SDR)</CurrencyName>",
        f"\t\t\t<ForexBuying>{Decimal('57.2013') * factor:.4f}</ForexBuying>",
        "\t\t\t<ForexSelling/>\n\t\t\t<BanknoteBuying/>\n\t\t\t<BanknoteSelling/>",
        "\t\t\t<CrossRateUSD/>\n\t\t\t<CrossRateOther>1.3654</CrossRateOther>",
        "\t</Currency>",
        "</Tarih_Date>",
    ]
    return "\n".join(lines).encode()


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the server received."""

    path: str
    agent: str
    peer: Any
    at: float


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Tcmb:
    """The server. `bulletins` is its archive; `behave` replaces the response of one path."""

    bulletins: dict[date, bytes] = field(default_factory=dict)
    requests: list[ReceivedRequest] = field(default_factory=list)
    max_at_once: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._faults: dict[str, Handler] = {}
        self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/kurlar"

    def publish(self, *days: date, percent: float = 0.0) -> None:
        for day in days:
            self.bulletins[day] = document(day, percent=percent)

    def behave(self, path: str, handler: Handler | None) -> None:
        """Handle `path` (`*` is every path) differently; None restores the default."""
        if handler is None:
            self._faults.pop(path, None)
        else:
            self._faults[path] = handler

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def in_its_loop(self, act: Callable[[], object]) -> None:
        """Call something in the server's thread, such as the `set` of an asyncio.Event."""
        self._loop.call_soon_threadsafe(act)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/kurlar/{path:.*}", self._respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _end(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        agent = request.headers.get("User-Agent", "")
        self.requests.append(ReceivedRequest(path, agent, peer, self._loop.time()))
        self._at_once += 1
        self.max_at_once = max(self.max_at_once, self._at_once)
        try:
            fault = self._faults.get(path) or self._faults.get("*")
            return await fault(request) if fault else self._served(path)
        finally:
            self._at_once -= 1

    def _served(self, path: str) -> web.Response:
        if path == "today.xml" and self.bulletins:
            return _xml(self.bulletins[max(self.bulletins)])
        found = re.fullmatch(r"(\d{4})(\d{2})/(\d{2})\2\1\.xml", path)
        day = found and date(int(found[1]), int(found[2]), int(found[3]))
        if day in self.bulletins:
            return _xml(self.bulletins[day])
        return web.Response(status=404, text=_ERROR_PAGE, content_type="text/html")


def archive_path(day: date) -> str:
    return f"{day:%Y%m}/{day:%d%m%Y}.xml"


def respond_with(body: bytes, status: int = 200, content_type: str = "application/xml") -> Handler:
    """Return a handler that always sends this response."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type)

    return respond


def error_page(status: int = 200) -> Handler:
    """Return a handler that sends HTML instead of XML."""
    return respond_with(_ERROR_PAGE.encode(), status, "text/html")


def cut_off(body: bytes, status: int = 200) -> Handler:
    """Return a handler that announces the whole body and closes the connection half-way."""

    async def respond(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Length": str(len(body))}
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    return respond


def slow(body: bytes) -> Handler:
    """Return a handler that sends the beginning and never the rest."""

    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[:100])
        await asyncio.Event().wait()
        return response

    return respond


def endless() -> Handler:
    """Return a handler that never stops sending."""

    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"<!-- -->" * 8192)

    return respond


def _xml(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/xml")


def istanbul(text: str) -> datetime:
    """Return an Istanbul time such as `2026-11-24 15:30`."""
    return datetime.fromisoformat(f"{text}+03:00")
