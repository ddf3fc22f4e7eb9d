"""The page's files and what a browser is told to do with them."""

from __future__ import annotations

import asyncio
import gzip
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.api import errors
from service.api.compression import CompressJson
from service.api.pages import load_assets, page_routes

WEB = Path(__file__).parents[3] / "service" / "web"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Client:
    """Requests that never leave the process."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._get(path, options))

    async def _get(self, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://web") as client:
            return await client.get(path, **options)


@pytest.fixture
def client() -> Client:
    app = FastAPI()
    app.include_router(page_routes())
    app.add_middleware(CompressJson)
    app.add_api_route("/v1/long", lambda: ["x"] * 1000)
    app.add_api_route("/ipfs/long", lambda: ["x"] * 1000)
    errors.install(app)
    return Client(app)


def test_every_file_ships_once() -> None:
    on_disk = {str(path.relative_to(WEB)) for path in WEB.rglob("*") if path.is_file()}
    assert {name for name in on_disk if "__pycache__" not in name} == set(load_assets())


def test_browsers_get_the_page_and_programs_a_map(client: Client) -> None:
    page, entry = client.get("/", headers=BROWSER), client.get("/", headers={"accept": "*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert entry.json()["jobs"] == "/v1/jobs"
    assert "Accept" in page.headers["vary"]
    assert "Accept" in entry.headers["vary"]


def test_the_policy_lets_nothing_in_but_the_pages_own_files(client: Client) -> None:
    policy = client.get("/", headers=BROWSER).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    html = (WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html)
    for path in WEB.rglob("*"):
        if path.is_file():
            addresses = re.findall(r"https?://[\w./-]+", path.read_text())
            assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path


def test_files_are_compressed_and_asked_for_once(client: Client) -> None:
    plain = client.get("/web/app.js", headers={"accept-encoding": "identity"})
    packed = client.get("/web/app.js")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content == (WEB / "app.js").read_bytes()
    assert gzip.decompress(load_assets()["app.js"].compressed) == plain.content
    again = client.get("/web/app.js", headers={"if-none-match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/web/", "/web/none.js", "/web/../api/pages.py", "/web/lib"])
def test_there_is_no_other_file(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_api_is_compressed_and_content_is_not(client: Client) -> None:
    assert client.get("/v1/long").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/ipfs/long").headers


def test_every_module_is_asked_for_at_once() -> None:
    """Without the hints a browser finds them one import after the other."""
    html = (WEB / "index.html").read_text()
    hinted = set(re.findall(r'modulepreload" href="/web/([^"]+)"', html))
    assert hinted == {name for name in load_assets() if name.endswith(".js")} - {"app.js"}
