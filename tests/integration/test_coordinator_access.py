"""Who may write at a coordinator: whoever the chain knows, by signature, or by an API key."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from contracts_stage import ETHER, Stage
from coordinator_stage import CHECKOUT, Coordinator, sign_in_form

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import ContentNotFound
from commonweal.client import Client
from commonweal.jobcontent import store_job_content
from commonweal.jobfile import JobFile, load_job_file
from commonweal.learning.data import InvalidData
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.manifests import ModelManifest, decode_manifest, manifest_cid
from commonweal.protocol.types import Address
from commonweal.validation_sets import parse_validation_set

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
KEY, SDK_KEY = "a script's key", "the SDK's key"
QUOTA = 2**20


@pytest.fixture(scope="module")
def coordinator(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    folder = tmp_path_factory.mktemp("coordinator")
    keys, config = folder / "keys", folder / "settings.yaml"
    given = {"script": KEY, "sdk": SDK_KEY}
    hashes = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in given.items()}
    keys.write_text("".join(f"{name} {digest}\n" for name, digest in hashes.items()))
    config.write_text(f"api_keys: {keys}\nupload_bytes: {QUOTA}\n")
    coordinator = Coordinator(stage, folder, {"--config": config}).start()
    yield coordinator
    coordinator.close()
    assert KEY not in coordinator.log
    assert "Bearer" not in coordinator.log


def upload(coordinator: Coordinator, block: bytes, **headers: str) -> httpx.Response:
    path = f"/v1/blocks/{compute_cid(block, 'raw')}"
    return coordinator.http.put(path, content=block, headers=headers)


def read(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def test_strangers_read_and_do_not_write(coordinator: Coordinator, stage: Stage) -> None:
    for size in (1, 2**20):
        response = upload(coordinator, b"x" * size)
        assert read(response) == (401, "sign-in-required")
        assert response.headers["www-authenticate"] == "Bearer"
    assert coordinator.http.get("/v1/jobs").status_code == 200
    stranger = sign_in_form(coordinator, stage.account())
    response = coordinator.http.post("/v1/sessions", json=stranger)
    assert read(response) == (403, "account-unknown")
    assert (response.json()["have"], response.json()["need"]) == ("0", str(10**18))


def test_owner_and_operator_are_one_identity_from_the_block_of_their_registration_on(
    coordinator: Coordinator, stage: Stage
) -> None:
    worker = stage.worker()
    for account in (worker.operator, worker.owner):
        signed = sign_in_form(coordinator, account)
        answer = coordinator.http.post("/v1/sessions", json=signed).json()
        assert answer["identity"] == worker.provider
        block = account.address.encode()
        session = {"Authorization": f"Bearer {answer['token']}"}
        assert upload(coordinator, block, **session).status_code == 201
        assert upload(coordinator, block, **session).status_code == 200
        repeated = coordinator.http.post("/v1/sessions", json=signed)
        assert read(repeated) == (401, "nonce-used")


def test_what_was_signed_for_something_else_is_refused(
    coordinator: Coordinator, stage: Stage
) -> None:
    account = stage.account(tokens=ETHER)
    good = sign_in_form(coordinator, account)
    other = Address(stage.account().address)
    cases = {
        "wrong-host": sign_in_form(coordinator, account, host="evil.example"),
        "challenge-unknown": sign_in_form(coordinator, account, nonce="mine"),
        "signature-invalid": {**good, "account": other},
    }
    for code, form in cases.items():
        assert read(coordinator.http.post("/v1/sessions", json=form)) == (401, code)
    # None of these used the nonce up.
    assert coordinator.http.post("/v1/sessions", json=good).status_code == 201
    forged = {"Authorization": f"Bearer {good['nonce']}"}
    assert read(upload(coordinator, b"x", **forged)) == (401, "session-unknown")


@pytest.mark.parametrize("key", [None, SDK_KEY])
def test_the_sdk_signs_in_by_itself_or_shows_its_key(
    coordinator: Coordinator, stage: Stage, tmp_path: Path, key: str | None
) -> None:
    job_file = load_job_file(CHECKOUT / "examples" / "digits.yaml")
    requester = stage.account(tokens=job_file.escrow)
    with Client(str(coordinator.http.base_url), api_key=key) as client:
        job = client.submit(job_file, reader=stage.reader, account=requester, scratch=tmp_path)
    assert stage.reader.fetch_job(job, stage.now).requester == requester.address


def test_a_validation_set_goes_with_its_job_and_can_be_named_again(
    coordinator: Coordinator, stage: Stage, tmp_path: Path
) -> None:
    example = (CHECKOUT / "examples" / "digits.yaml").read_text()
    samples = "\n".join([",".join([*(f"x{i}" for i in range(64)), "y"]), ",".join(["1"] * 65)])
    (tmp_path / "few.csv").write_text(samples)
    of_file = "{kind: csv, path: few.csv, label: y}"
    job_file = write_job(tmp_path / "one.yaml", example, of_file)
    cid = str(job_file.spec.data.validation)
    submit(coordinator, stage, job_file, tmp_path / "a")
    found = coordinator.http.get(f"/ipfs/{cid}", params={"format": "raw"})
    assert parse_validation_set(found.content, job_file.spec.data).y.tolist() == [1]
    (stored,) = coordinator.folder.rglob(cid)
    os.utime(stored, (0, 0))
    submit(coordinator, stage, write_job(tmp_path / "two.yaml", example, cid), tmp_path / "b")
    assert stored.stat().st_mtime > time.time() - 60  # not to be collected before it is named
    nowhere = str(compute_cid(b"nowhere", "raw"))
    with pytest.raises(ContentNotFound):
        submit(coordinator, stage, write_job(tmp_path / "c.yaml", example, nowhere), tmp_path / "c")
    weights = find_first_weights(job_file, tmp_path / "content")
    with pytest.raises(InvalidData, match="needs x"):
        submit(coordinator, stage, write_job(tmp_path / "d.yaml", example, weights), tmp_path / "d")


def find_first_weights(job_file: JobFile, scratch: Path) -> str:
    store = EmbeddedStore(scratch)
    _, model = store_job_content(job_file, store)
    manifest = decode_manifest(store.get_block(manifest_cid(model)))
    assert isinstance(manifest, ModelManifest)
    return manifest.weights


def write_job(path: Path, example: str, validation: str) -> JobFile:
    assert example.count("\ndata:\n") == 1
    path.write_text(example.replace("\ndata:\n", f"\ndata:\n  validation: {validation}\n"))
    return load_job_file(path)


def submit(coordinator: Coordinator, stage: Stage, job_file: JobFile, scratch: Path) -> None:
    requester = stage.account(tokens=job_file.escrow)
    with Client(str(coordinator.http.base_url)) as client:
        client.submit(job_file, reader=stage.reader, account=requester, scratch=scratch)


def test_a_script_with_an_api_key_writes_until_its_quota_is_spent(
    coordinator: Coordinator,
) -> None:
    headers = {"X-API-Key": KEY}
    half = QUOTA // 2
    for number in range(2):
        block = bytes([number]) * half
        assert upload(coordinator, block, **headers).status_code == 201
    response = upload(coordinator, b"2" * half, **headers)
    assert read(response) == (429, "upload-quota-spent")
    assert 0 < int(response.headers["retry-after"]) <= 1_800
    assert read(upload(coordinator, b"x", **{"X-API-Key": "guess"})) == (401, "api-key-unknown")


def test_a_session_outlives_a_restart(coordinator: Coordinator, stage: Stage) -> None:
    session = coordinator.sign_in(stage.account(tokens=ETHER))
    used = sign_in_form(coordinator, stage.account(tokens=ETHER))
    port = coordinator.http.base_url.port
    assert coordinator.http.post("/v1/sessions", json=used).status_code == 201
    coordinator.stop()
    coordinator.options = {**coordinator.options, "--port": port}
    coordinator.start()
    assert upload(coordinator, b"after the restart", **session).status_code == 201
    repeated = coordinator.http.post("/v1/sessions", json=used)
    assert read(repeated) == (401, "nonce-used")


def test_the_api_says_what_needs_signing_in(coordinator: Coordinator) -> None:
    document = coordinator.get("/openapi.json")
    for path, method in (("/v1/jobs", "post"), ("/v1/blocks/{cid}", "put")):
        operation = document["paths"][path][method]
        assert operation["security"] == [{"session": []}, {"apiKey": []}]
        assert {"401", "429"} <= set(operation["responses"])
