"""What a wallet signs hashes to what the contracts check, and goes back in as an offer."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from commonweal.adapters.chain import Block
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.deployment import Deployment
from commonweal.jobfile import InvalidJobFile, load_job_file
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.signing import compute_parameters_hash, hash_job_offer
from commonweal.protocol.specs import DataSpec
from commonweal.protocol.types import Address, Wei
from service.api import drafts
from service.app import create_app
from service.drafts import Draft, draft_job
from service.offers import OfferForm
from service.settings import Settings

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits.yaml"
BOARD, TOKEN = Address("0x" + "1A" * 20), Address("0x" + "2B" * 20)
ACCOUNT = Account.create()
KEY = "a script's key"
THREADS = 40  # that anyio lends to all routes together


class Reader:
    """A token called Test in which ACCOUNT has signed seven permits."""

    deployment = Deployment(31337, 1, {"JobBoard": BOARD, "CommonwealToken": TOKEN})

    def fetch_head(self) -> Block:
        return Block(9, b"", b"", 1_000)

    def call(self, contract: str, function: str, *args: object, at: int) -> Any:
        return {"name": "Test", "nonces": 7}[function]


def hash_document(document: dict[str, Any]) -> bytes:
    message = encode_typed_data(full_message=document)
    return keccak(b"\x19\x01" + message.header + message.body)


def test_a_draft_is_an_offer_but_for_its_signatures(tmp_path: Path) -> None:
    reader: Any = Reader()
    store, job_file = EmbeddedStore(tmp_path), load_job_file(EXAMPLE)
    draft = draft_job(reader, store, ACCOUNT.address, job_file)
    form = OfferForm.model_validate(draft.offer | {"signature": "0x" + "00" * 64})
    parameters = form.parameters.to_parameters()
    assert form.escrow == job_file.escrow
    assert form.deadline == 1_000 + 3_600
    assert parameters.recruit_until == 1_000 + job_file.terms.recruit_for
    expected = hash_job_offer(
        reader.deployment.board_domain,
        ACCOUNT.address,
        compute_parameters_hash(parameters),
        Wei(form.escrow),
        form.nonce,
        form.deadline,
    )
    assert hash_document(draft.offer_document) == expected
    permit = draft.permit_document
    assert permit["domain"]["verifyingContract"] == TOKEN
    assert permit["message"]["spender"] == BOARD
    assert permit["message"]["value"] == str(form.escrow)
    assert permit["message"]["nonce"] == "7"


def test_what_a_draft_names_is_in_the_store(tmp_path: Path) -> None:
    reader: Any = Reader()
    store = EmbeddedStore(tmp_path)
    draft = draft_job(reader, store, ACCOUNT.address, load_job_file(EXAMPLE))
    again = draft_job(reader, store, ACCOUNT.address, load_job_file(EXAMPLE))
    assert again.offer["parameters"] == draft.offer["parameters"]
    assert again.offer["nonce"] != draft.offer["nonce"]
    assert len(list(tmp_path.rglob("*"))) > 3


def test_a_validation_set_that_is_not_here_makes_no_draft(tmp_path: Path) -> None:
    reader: Any = Reader()
    job_file = load_job_file(EXAMPLE)
    data = job_file.spec.data.model_dump() | {"validation": str(compute_cid(b"nowhere", "raw"))}
    spec = job_file.spec.model_copy(update={"data": DataSpec.model_validate(data)})
    with pytest.raises(InvalidJobFile, match="is not stored here"):
        draft_job(reader, EmbeddedStore(tmp_path), ACCOUNT.address, replace(job_file, spec=spec))


@pytest.mark.anyio
async def test_few_drafts_are_made_at_once_and_those_that_wait_hold_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, may_end = threading.Semaphore(0), threading.Event()

    def draft(*_: object) -> Draft:
        started.release()
        may_end.wait(30)
        return Draft(offer={}, offer_document={}, permit_document={})

    monkeypatch.setattr(drafts, "draft_job", draft)
    async with open_client(tmp_path) as client, anyio.create_task_group() as group:
        for _ in range(THREADS + 2):
            group.start_soon(post_draft, client)
        try:
            for _ in range(drafts.MOST_AT_ONCE):
                assert await anyio.to_thread.run_sync(started.acquire, True, 20)
            await anyio.wait_all_tasks_blocked()
            assert not started.acquire(timeout=0.2)
            with anyio.fail_after(10):
                assert (await client.get("/ipfs/bafkqaaa?format=raw")).status_code == 200
        finally:
            may_end.set()


def open_client(folder: Path) -> httpx.AsyncClient:
    keys = folder / "keys"
    keys.write_text(f"script {hashlib.sha256(KEY.encode()).hexdigest()}")
    services: Any = SimpleNamespace(
        settings=Settings(api_keys=keys, data_dir=folder, request_burst=10_000),
        reader=None,
        content=EmbeddedStore(folder / "content"),
        sessions=SimpleNamespace(read=None),
    )
    transport = httpx.ASGITransport(create_app(services))
    headers = {"x-api-key": KEY}
    return httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers)


async def post_draft(client: httpx.AsyncClient) -> None:
    form = {"requester": ACCOUNT.address, "job_file": EXAMPLE.read_text()}
    assert (await client.post("/v1/drafts", json=form)).status_code == 200


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
