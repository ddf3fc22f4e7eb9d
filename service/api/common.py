"""What every resource needs: the services, page bounds, and how values are written."""

from __future__ import annotations

from typing import Annotated, cast

from eth_utils.address import is_address, to_checksum_address
from fastapi import Depends, Path, Query, Request

from commonweal.errors import InvalidInput
from commonweal.protocol.manifests import manifest_cid
from commonweal.protocol.types import Digest
from service.claimed import ClaimedMetrics
from service.eventjson import to_hex
from service.history import History
from service.services import Services

MAX_PAGE = 200


class InvalidCursor(InvalidInput):
    code = "invalid-cursor"


class InvalidAddress(InvalidInput):
    code = "invalid-address"


def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def _history(request: Request) -> History:
    return History(_services(request).database)


def _claimed(request: Request) -> ClaimedMetrics:
    return cast(ClaimedMetrics, request.app.state.claimed)


ServicesDep = Annotated[Services, Depends(_services)]
HistoryDep = Annotated[History, Depends(_history)]
ClaimedDep = Annotated[ClaimedMetrics, Depends(_claimed)]
JobNumber = Annotated[int, Path(ge=1, lt=2**63, examples=[1])]
RoundNumber = Annotated[int, Path(ge=1, lt=2**63, examples=[1])]
# No database takes every character: PostgreSQL refuses zero bytes.
RowId = Annotated[str, Path(pattern=r"^[0-9A-Za-z-]{1,64}$", examples=["9b" * 32])]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="items per page")]
Cursor = Annotated[
    str | None, Query(max_length=64, description="`next` of the page before", examples=["17"])
]


def parse_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InvalidCursor("a cursor is the `next` of an earlier page", cursor=cursor)
    return int(cursor)


def parse_address(text: str) -> str:
    if not is_address(text):
        raise InvalidAddress(f"{text!r} is not an address", address=text)
    return to_checksum_address(text)


def hex_or_none(data: bytes | None) -> str | None:
    return None if data is None else to_hex(data)


def cid_of(digest: bytes) -> str:
    return manifest_cid(Digest(bytes(digest)))


def cid_or_none(digest: bytes | None) -> str | None:
    return None if digest is None else cid_of(digest)
