from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from hefu.page import Page, Start

SCRIPT = b"console.log('a page')"
HTML = '<div id="page" data-start="{start}"></div>'


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text(HTML)
    (tmp_path / "page-0123.js.gz").write_bytes(gzip.compress(SCRIPT))
    return tmp_path


def client(page: Page) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/graphql", page.__call__), *page.routes])
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://hefu.test")


async def test_a_file_may_be_kept_for_ever(bundle: Path) -> None:
    async with client(Page(bundle=bundle)) as asking:
        response = await asking.get("/graphql/assets/page-0123.js")
    assert response.status_code == 200
    assert response.content == SCRIPT
    assert dict(response.headers) == {
        "cache-control": "public, max-age=31536000, immutable",
        "vary": "Accept-Encoding",
        "content-encoding": "gzip",
        "content-length": str(len(gzip.compress(SCRIPT))),
        "content-type": "text/javascript; charset=utf-8",
    }


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("*", "gzip"),
        ("", None),
        ("identity", None),
        ("gzip;q=0, br", None),
    ],
)
async def test_a_file_comes_as_the_client_reads_it(
    bundle: Path, accepted: str, coding: str | None
) -> None:
    async with client(Page(bundle=bundle)) as asking:
        response = await asking.get(
            "/graphql/assets/page-0123.js", headers={"Accept-Encoding": accepted}
        )
    assert response.headers.get("content-encoding") == coding
    assert response.content == SCRIPT


@pytest.mark.parametrize(
    "name", ["page.html", "page-0123.js.gz", "..%2fpage.py", "%00", "sources.sha256"]
)
async def test_nothing_else_in_the_folder_is_served(bundle: Path, name: str) -> None:
    async with client(Page(bundle=bundle)) as asking:
        assert (await asking.get(f"/graphql/assets/{name}")).status_code == 404


async def test_the_page_is_filled_in_and_escaped(bundle: Path) -> None:
    start = Start(appId='app_"><script>alert(1)</script>', sources=("wecom",))
    async with client(Page(start, bundle=bundle)) as asking:
        text = (await asking.get("/graphql")).text
    assert "<script>" not in text
    assert "&quot;sources&quot;: [&quot;wecom&quot;]" in text


async def test_without_a_bundle_the_page_says_how_to_get_it(tmp_path: Path) -> None:
    async with client(Page(bundle=tmp_path)) as asking:
        response = await asking.get("/graphql")
    assert response.status_code == 200
    assert "npm ci --ignore-scripts" in response.text
