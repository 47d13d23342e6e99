"""The rival of the backfill: a plain script with aiohttp, xml.etree and asyncpg, and no checks."""

import asyncio
import sys
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import aiohttp
import asyncpg

TABLE = """
CREATE TABLE plain (day date, code text, unit int, forex_buying numeric, forex_selling numeric,
banknote_buying numeric, banknote_selling numeric, PRIMARY KEY (day, code))"""
TAGS = ("ForexBuying", "ForexSelling", "BanknoteBuying", "BanknoteSelling")


async def main(address: str, dsn: str, first: date, last: date) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if day.weekday() >= 5:
                continue
            async with session.get(f"{address}/{day:%Y%m}/{day:%d%m%Y}.xml") as response:
                if response.status != 200:
                    continue
                root = ElementTree.fromstring(await response.read())
            rows = []
            for element in root:
                values = [element.findtext(tag) for tag in TAGS]
                prices = [Decimal(value) if value else None for value in values]
                rows.append((day, element.get("Kod"), int(element.findtext("Unit") or 1), *prices))
            async with connection.transaction():
                await connection.executemany(
                    "INSERT INTO plain VALUES ($1, $2, $3, $4, $5, $6, $7)", rows
                )
    await connection.close()


if __name__ == "__main__":
    given_address, given_dsn, *days = sys.argv[1:5]
    asyncio.run(main(given_address, given_dsn, *map(date.fromisoformat, days)))
