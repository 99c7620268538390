"""A second process on the house's database: its own caches, the same time of day."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from hefu.app import create_app
from tests.house import House, settings


@asynccontextmanager
async def beside(house: House, **environ: str) -> AsyncGenerator[House]:
    """
    What another process would be, with nothing in common but the database.

    In this one all the same, since only so it sees the clock that a test moves; real
    processes are those of `test_two_processes.py`.
    """
    given = settings(house.database_url, house.wecom.url, **environ)
    app = create_app(given, clock=house.clock)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.8", 1))
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://hefu.test"
        ) as client:
            yield replace(house, client=client, services=app.services)
    finally:
        await app.services.close()
