"""The web page: static files that ship with the package, under a policy that lets nothing else in.

Read once, kept compressed: they are small, and no path of a request ever meets the file system.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ENTRY = {
    "name": "Commonweal coordinator",
    "openapi": "/openapi.json",
    "network": "/v1/network",
    "jobs": "/v1/jobs",
    "health": "/health",
}


@dataclass(frozen=True, slots=True)
class Asset:
    plain: bytes
    compressed: bytes
    media_type: str
    etag: str


def page_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    assets = load_assets()

    @router.api_route("/", methods=["GET", "HEAD"])
    def get_root(request: Request) -> Response:
        """The page for browsers, a map of the API for everything else."""
        if "text/html" in request.headers.get("accept", ""):
            return _answer(request, assets["index.html"])
        return JSONResponse(_ENTRY, headers={"Vary": "Accept"})

    @router.api_route("/favicon.ico", methods=["GET", "HEAD"])
    def get_icon(request: Request) -> Response:
        return _answer(request, assets["icon.svg"])

    @router.api_route("/web/{path:path}", methods=["GET", "HEAD"])
    def get_asset(request: Request, path: str) -> Response:
        if path not in assets:
            raise HTTPException(404, "the page has no such file")
        return _answer(request, assets[path])

    return router


def load_assets() -> dict[str, Asset]:
    """By path below service/web."""
    return dict(_walk(files("service").joinpath("web"), ""))


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found = []
    for entry in folder.iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif suffix in _MEDIA_TYPES:
            found.append((prefix + entry.name, _pack(entry.read_bytes(), _MEDIA_TYPES[suffix])))
    return found


def _pack(plain: bytes, media_type: str) -> Asset:
    return Asset(plain, gzip.compress(plain, mtime=0), media_type, sha256(plain).hexdigest()[:32])


def _answer(request: Request, asset: Asset) -> Response:
    headers = {
        "Cache-Control": "no-cache",  # asks each time, and is told "unchanged" by the tag
        "ETag": f'"{asset.etag}"',
        "Vary": "Accept, Accept-Encoding",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, media_type=asset.media_type, headers=headers)
    return Response(asset.plain, media_type=asset.media_type, headers=headers)
