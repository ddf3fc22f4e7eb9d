"""Requests that are answered with each error that the OpenAPI document names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from coordinator_stage import CHECKOUT, Coordinator, Json, make_offer, sign_in_form, text

from commonweal.adapters.content.store import MAX_BLOCK_BYTES
from commonweal.protocol.cids import compute_cid
from tests.chaos.proxy import FaultyProxy

JOB_FILE = (CHECKOUT / "examples" / "digits.yaml").read_text()
KEY = "a script's key"
KNOWN = {"X-API-Key": KEY}
Operation = tuple[str, str]  # method and path as in the document


def fill(path: str, **changes: str) -> str:
    block = str(compute_cid(b"block", "raw"))
    names = {
        "job": "1",
        "round": "1",
        "address": "0x" + "00" * 20,
        "cid": block,
        "message": "nothing",
        "offer": "nothing",
        "tx": "0x" + "00" * 32,
    }
    return path.format(**(names | changes))


def ask(coordinator: Coordinator, operation: Operation, **options: Any) -> httpx.Response:
    """The status only: some answers have no end."""
    method, path = operation
    path = options.pop("path", None) or fill(path)
    options["headers"] = KNOWN | options.pop("headers", {})
    with coordinator.http.stream(method.upper(), path, **options) as response:
        if not response.headers["content-type"].startswith("text/event-stream"):
            response.read()
        return response


class Recipes:
    """How to come by each documented error of an operation."""

    def __init__(
        self,
        coordinator: Coordinator,
        crippled: Coordinator,
        patientless: Coordinator,
        chain: FaultyProxy,
    ) -> None:
        """`chain`: the crippled one's way to its chain."""
        self._healthy, self._crippled, self._patientless = coordinator, crippled, patientless
        self._chain = chain
        self._stage = coordinator.stage

    def cook(self, operation: Operation, status: int) -> httpx.Response:
        recipe: Callable[[Operation], httpx.Response] = getattr(self, f"_{status}")
        return recipe(operation)

    def _400(self, operation: Operation) -> httpx.Response:
        method, path = operation
        if method == "post":
            return ask(self._healthy, operation, content=b"[" * 99)
        if method == "put":
            return ask(self._healthy, operation, content=b"other")
        if path.endswith("/events"):
            return ask(self._healthy, operation, headers={"last-event-id": "x"})
        wrong = {"address": "0x", "tx": "0x", "cid": "x"}
        query = "?cursor=x&first=9&last=1&format=raw&block=1"
        return ask(self._healthy, operation, path=fill(path, **wrong) + query)

    def _401(self, operation: Operation) -> httpx.Response:
        return ask(self._healthy, operation, headers={"x-api-key": "guess"})

    def _403(self, operation: Operation) -> httpx.Response:
        form = sign_in_form(self._healthy, self._stage.account())
        return ask(self._healthy, operation, json=form)

    def _404(self, operation: Operation) -> httpx.Response:
        method, path = operation
        if method == "post":
            return ask(self._healthy, operation, json=self._message(job=999))
        absent = fill(path, job="999", cid=str(compute_cid(b"absent", "raw")))
        return ask(self._healthy, operation, path=absent + "?format=raw")

    def _406(self, operation: Operation) -> httpx.Response:
        return ask(self._healthy, operation, path=fill(operation[1]) + "?format=tar")

    def _408(self, operation: Operation) -> httpx.Response:
        def drip() -> Iterator[bytes]:
            yield b"b"
            time.sleep(1.0)

        return ask(self._healthy, operation, content=drip())

    def _409(self, operation: Operation) -> httpx.Response:
        if operation[1] == "/v1/messages":
            return ask(self._healthy, operation, json=self._message(round=9))
        return ask(self._healthy, operation, json=self._offer())

    def _413(self, operation: Operation) -> httpx.Response:
        size = MAX_BLOCK_BYTES + 1 if operation[0] == "put" else 2**22
        return ask(self._healthy, operation, content=bytes(size))

    def _422(self, operation: Operation) -> httpx.Response:
        method, path = operation
        if method == "post":
            return ask(self._healthy, operation, json={})
        wrong = fill(path, job="0", round="0", message="%00", offer="%00")
        return ask(self._healthy, operation, path=wrong + "?limit=0&block=-1")

    def _429(self, operation: Operation) -> httpx.Response:
        return ask(self._patientless, operation)

    def _503(self, operation: Operation) -> httpx.Response:
        method, path = operation
        if path == "/v1/sessions":
            form = sign_in_form(self._crippled, self._stage.account())
            return ask(self._crippled, operation, json=form)
        if path == "/v1/jobs" and method == "post":
            return ask(self._crippled, operation, json=self._offer())
        if path == "/v1/drafts":
            self._chain.trouble = "500"
            answer = ask(self._crippled, operation, json=self._draft())
            self._chain.trouble = ""
            return answer
        body = {"json": self._message()} if method == "post" else {}
        return ask(self._crippled, operation, path=fill(path) + "?block=1", **body)

    def _507(self, operation: Operation) -> httpx.Response:
        if operation[1] == "/v1/drafts":
            return ask(self._crippled, operation, json=self._draft())
        return ask(self._crippled, operation, content=b"block")

    def _offer(self) -> Json:
        """Of somebody who cannot pay it."""
        return make_offer(self._stage, self._stage.account(), 10**18)

    def _draft(self) -> Json:
        return {"requester": "0x" + "11" * 20, "job_file": JOB_FILE}

    def _message(self, **changes: object) -> Json:
        values = {"job": 1, "round": 2, "member": 0, **changes}
        salt, digest = "0x" + "11" * 16, text(bytes(32))
        return {"kind": "update-reveal", "digest": digest, "salt": salt, **values}
