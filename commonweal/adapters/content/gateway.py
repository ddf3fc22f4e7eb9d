"""A store over HTTP: the IPFS Trustless Gateway for readers, verified block uploads for writers.

Errors are application/problem+json from these routes themselves, so any FastAPI app can mount them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from itertools import chain
from typing import Annotated, Literal, ParamSpec

import anyio
import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from commonweal.adapters.content.car import choose_links, read_car, stream_car, stream_held
from commonweal.adapters.content.dags import list_held, list_links
from commonweal.adapters.content.store import (
    MAX_BLOCK_BYTES,
    ContentCorrupt,
    ContentNotFound,
    ContentStore,
    ContentTooLarge,
    StoreFull,
    StoreUnavailable,
)
from commonweal.errors import CommonwealError, InvalidInput
from commonweal.protocol.cids import Cid, InvalidCid, is_block_of, parse_cid

log = structlog.get_logger(__name__)

RAW, CAR = "application/vnd.ipld.raw", "application/vnd.ipld.car"
# Asked for by IPFS clients that want to know whether this is a gateway: the empty identity CID.
PROBE = "bafkqaaa"
DEFAULT_UPLOAD_SECONDS = 60.0

Format = Literal["raw", "car"]
_SCOPES = ("block", "entity", "all", "held")
MOST_MORE = 63  # roots beside the first
_AT_ONCE = 4 * 2**20  # bytes of a graph that are put together before the first is sent
P = ParamSpec("P")


class FormatMissing(InvalidInput):
    code = "format-missing"


class FormatUnknown(InvalidInput):
    code = "format-unknown"


class UploadTooSlow(InvalidInput):
    code = "upload-too-slow"


_STATUS: list[tuple[type[CommonwealError], int]] = [
    (InvalidCid, 400),
    (FormatMissing, 400),
    (FormatUnknown, 406),
    (UploadTooSlow, 408),
    (ContentNotFound, 404),
    (ContentTooLarge, 413),
    (ContentCorrupt, 400),
    (StoreFull, 507),
    (StoreUnavailable, 503),
    (InvalidInput, 400),
]


def gateway_routes(store: ContentStore) -> APIRouter:
    """GET and HEAD /ipfs/{cid}?format=raw|car; without a format the Accept header decides."""
    router = APIRouter(tags=["content"])

    @_with_problems
    def read(
        cid: str,
        request: Request,
        format_: Annotated[str | None, Query(alias="format")] = None,
        scope: Annotated[str, Query(alias="dag-scope")] = "all",
        also: Annotated[list[str], Query()] = [],  # noqa: B006 - never changed
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        wanted = _choose_format(format_, accept)
        _check_scope(scope)
        if cid.lower() == PROBE and wanted == "raw":
            return Response(b"", headers=_headers(PROBE, f'"{PROBE}.raw"', "bin"), media_type=RAW)
        root = parse_cid(cid)
        if also:
            _check_several(wanted, scope, also)
            return _respond_several(store, [root, *map(parse_cid, also)])
        block = _read_root(store, root)
        etag = f'"{root}.raw"' if wanted == "raw" else f'W/"{root}.car.dfs.{scope}"'
        if _is_unchanged(request, etag):
            return Response(status_code=304, headers={"Etag": etag})
        if wanted == "raw":
            return Response(block, headers=_headers(str(root), etag, "bin"), media_type=RAW)
        return _respond_car(store, root, scope, etag, is_head=request.method == "HEAD")

    described = router.get(
        "/ipfs/{cid}",
        operation_id="readContent",
        summary="One block, or a graph as CAR",
        response_class=Response,
        responses=_describe(RAW, CAR, 400, 404, 406),
    )
    described(read)
    router.head("/ipfs/{cid}", include_in_schema=False)(read)
    return router


def _read_root(store: ContentStore, root: Cid) -> bytes:
    try:
        return store.get_block(str(root))
    except ContentCorrupt as error:
        raise ContentNotFound(f"{root} is not here", cid=str(root)) from error


def _respond_car(
    store: ContentStore, root: Cid, scope: str, etag: str, *, is_head: bool
) -> Response:
    headers = _headers(str(root), etag, "car") | {
        "Content-Type": f"{CAR}; version=1; order=dfs; dups=n"
    }
    if is_head:
        return Response(headers=headers)
    return _respond_frames(stream_car(store, root, choose_links(scope)), headers)


def _check_several(wanted: Format, scope: str, also: list[str]) -> None:
    if (wanted, scope) != ("car", "held") or len(also) > MOST_MORE:
        message = f"`also` goes with format=car and dag-scope=held, at most {MOST_MORE} times"
        raise InvalidInput(message, format=wanted, scope=scope, also=len(also))


def _respond_several(store: ContentStore, roots: list[Cid]) -> Response:
    """Not to be cached: what is left out today may be here tomorrow."""
    headers = {
        "Content-Type": f"{CAR}; version=1; order=dfs; dups=y",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return _respond_frames(stream_held(store, roots), headers)


def _respond_frames(frames: Iterator[bytes], headers: dict[str, str]) -> Response:
    first = bytearray()
    for frame in frames:
        first += frame
        if len(first) > _AT_ONCE:
            return StreamingResponse(chain([bytes(first)], frames), headers=headers)
    return Response(bytes(first), headers=headers)


def _choose_format(format_: str | None, accept: str) -> Format:
    """The parameter comes first, as the specification asks."""
    if format_ is not None:
        if format_ not in ("raw", "car"):
            raise FormatUnknown("format is raw or car", format=format_[:64], known=["raw", "car"])
        return "raw" if format_ == "raw" else "car"
    for item in accept.split(","):
        media = item.split(";")[0].strip().lower()
        if media in (RAW, CAR):
            return "raw" if media == RAW else "car"
    if accept and not any(wild in accept for wild in ("*/*", "application/*")):
        raise FormatUnknown(f"Only {RAW} and {CAR} are served", accept=accept[:200])
    raise FormatMissing(f"Say ?format=raw, ?format=car or Accept: {RAW}")


def _check_scope(scope: str) -> None:
    if scope not in _SCOPES:
        raise InvalidInput("No such dag-scope", scope=scope[:64], known=list(_SCOPES))


def _is_unchanged(request: Request, etag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    names = [name.strip().removeprefix("W/") for name in known.split(",")]
    return known.strip() == "*" or etag.removeprefix("W/") in names


def _headers(name: str, etag: str, suffix: str) -> dict[str, str]:
    return {
        "Etag": etag,
        "Cache-Control": "public, max-age=29030400, immutable",
        "Content-Disposition": f'attachment; filename="{name}.{suffix}"',
        "X-Content-Type-Options": "nosniff",
        "X-Ipfs-Path": f"/ipfs/{name}",
        "Vary": "Accept",
    }


def upload_routes(
    store: ContentStore,
    max_block: int = MAX_BLOCK_BYTES,
    *,
    upload_seconds: float = DEFAULT_UPLOAD_SECONDS,
) -> APIRouter:
    """PUT /v1/blocks/{cid}: 201 stored, 200 already here, 400, 408, 413, 507.

    As CAR the body holds what a pin of the CID holds, and is no longer than a block may be.
    """
    router = APIRouter(tags=["content"])

    async def read_body(request: Request) -> bytes | CommonwealError:
        # An error is handed on instead of raised: the endpoint answers it like all others.
        try:
            with anyio.fail_after(upload_seconds):
                return await _read_bounded(request, max_block)
        except TimeoutError:
            return UploadTooSlow("The block did not arrive in time", seconds=upload_seconds)
        except ContentTooLarge as error:
            return error

    @router.put(
        "/v1/blocks/{cid}",
        operation_id="uploadBlock",
        summary="Store one block, or as CAR what a pin of the CID holds; all is verified",
        status_code=201,
        response_class=Response,
        responses=_describe(None, None, 200, 400, 408, 413, 507),
        openapi_extra={"requestBody": {"required": True, "content": {RAW: {}, CAR: {}}}},
    )
    @_with_problems
    def upload(
        cid: str,
        body: object = Depends(read_body),
        content_type: Annotated[str, Header()] = RAW,
    ) -> Response:
        wanted = parse_cid(cid)
        if isinstance(body, CommonwealError):
            raise body
        assert isinstance(body, bytes)
        is_car = content_type.split(";")[0].strip().lower() == CAR
        keep = _store_graph if is_car else _store_block
        return Response(status_code=keep(store, wanted, body))

    return router


def _store_block(store: ContentStore, cid: Cid, block: bytes) -> int:
    if not is_block_of(cid, block):
        raise ContentCorrupt(f"The bytes are not those of {cid}", cid=str(cid), size=len(block))
    list_links(cid, block)  # what no walk gets past is refused
    status = 200
    try:
        store.get_block(str(cid))
    except (ContentNotFound, ContentCorrupt):
        status = 201
    store.put_block(block, cid.codec)  # also what is here: its grace begins anew
    return status


def _store_graph(store: ContentStore, root: Cid, car: bytes) -> int:
    """Leaves first: whoever finds a manifest here finds what it holds."""
    wanted, blocks = {root}, dict[Cid, bytes]()
    for cid, block in read_car(car):
        if cid not in wanted or not is_block_of(cid, block):
            raise ContentCorrupt(f"The CAR has more than {root} holds", cid=str(cid))
        wanted.update(list_held(cid, block))
        blocks[cid] = block
    if root not in blocks:
        raise ContentCorrupt(f"The CAR is not that of {root}", cid=str(root))
    return max(_store_block(store, cid, blocks[cid]) for cid in reversed(blocks))


async def _read_bounded(request: Request, limit: int) -> bytes:
    """Counts what arrives; the declared length can only refuse sooner."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise ContentTooLarge(f"A block has at most {limit} bytes", size=int(declared), limit=limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ContentTooLarge(f"A block has at most {limit} bytes", size=len(body), limit=limit)
    return bytes(body)


def _with_problems(endpoint: Callable[P, Response]) -> Callable[P, Response]:
    @wraps(endpoint)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return endpoint(*args, **kwargs)
        except CommonwealError as error:
            return _respond_problem(error)

    return answered


def _respond_problem(error: CommonwealError) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    log.debug("content request refused", code=error.code, status=status)
    title = error.code.replace("-", " ").capitalize()
    problem = {"type": "about:blank", "title": title, "status": status, "detail": error.message}
    return JSONResponse(
        {**error.details, **problem, "code": error.code},
        status_code=status,
        media_type="application/problem+json",
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _describe(*answers: str | int | None) -> dict[int | str, dict[str, object]]:
    media: dict[str, object] = {name: {} for name in answers if isinstance(name, str)}
    described: dict[int | str, dict[str, object]] = {
        status: {"description": _MEANINGS[status]} for status in answers if isinstance(status, int)
    }
    if media:
        described[200] = {"description": "The verified bytes", "content": media}
    return described


_MEANINGS = {
    200: "Already here",
    400: "Not a CID, not its bytes, or no format named",
    404: "Not here",
    406: "No such format",
    408: "The block did not arrive in time",
    413: "Larger than a block may be",
    507: "The store is full",
}
