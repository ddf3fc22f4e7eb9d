"""The coordinator does what its OpenAPI document says, and answers nothing that it leaves out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_recipes import KEY, KNOWN, Recipes
from contracts_stage import ETHER, Stage, word
from coordinator_stage import Coordinator, Troupe, play_round, wait_for
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks as openapi_checks

from tests.chaos.proxy import FaultyProxy
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
STREAMS = r"/(events|changes)$"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
RAW = "application/vnd.ipld.raw"


@pytest.fixture(scope="module")
def coordinator(
    stage: Stage, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Coordinator]:
    """On PostgreSQL, which refuses more than SQLite does; one round of job 1 is over."""
    folder = tmp_path_factory.mktemp("coordinator")
    options = configure(folder, request_burst=1_000_000, upload_seconds=0.5)
    options["--database-url"] = postgres.create_database("document")
    coordinator = Coordinator(stage, folder, options).start()
    later = stage.reader.fetch_head().timestamp + 3_600
    job = stage.create_job(stage.account(), recruit_until=later)
    troupe = Troupe(stage, job, [stage.worker(stake=1_000 * ETHER) for _ in range(4)])
    coordinator.wait_mined([coordinator.accept(troupe.join(w))[0] for w in troupe.workers])
    play_round(coordinator, troupe, 1, word("model 1"))
    yield coordinator
    coordinator.close()
    postgres.execute("DROP DATABASE document WITH (FORCE)")


def configure(folder: Path, **values: object) -> dict[str, object]:
    keys, config = folder / "keys", folder / "settings.yaml"
    keys.write_text(f"script {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    lines = {"api_keys": keys, **values}
    config.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
    return {"--config": config}


@pytest.fixture
def document(coordinator: Coordinator) -> Any:
    return schemathesis.openapi.from_url(f"{coordinator.http.base_url}/openapi.json")


schema = schemathesis.pytest.from_fixture("document")


@schemathesis.serializer(RAW)
def send_as_it_is(_: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@schema.exclude(path_regex=STREAMS).parametrize()
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case: schemathesis.Case) -> None:
    case.call_and_validate(headers=KNOWN, checks=CHECKS)


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "leave", "job": 1180591620717411303424}',
        b'{"\\ud800": 1}',
        b'{"kind": "\\ud800", "host": "\\udfff"}',
        b"\xff\xfe",
        b"7\x8e6",
        b"NaN",
        b"1" * 5_000,
    ],
)
def test_nothing_that_is_posted_is_a_bug(coordinator: Coordinator, body: bytes) -> None:
    for path in ("/v1/messages", "/v1/jobs", "/v1/sessions", "/v1/drafts"):
        headers = {**KNOWN, "content-type": "application/json"}
        assert coordinator.http.post(path, content=body, headers=headers).status_code in (400, 422)


def test_no_name_is_a_bug(coordinator: Coordinator) -> None:
    for path in ("/v1/messages/%s", "/v1/offers/%s", "/v1/providers/%s", "/v1/transactions/%s"):
        for name in ("%00", "%ED%A0%80", "x" * 2_000, "%F0%9F%8C%8D"):
            status = coordinator.http.get(path % name, headers=KNOWN).status_code
            assert status in (400, 422), (path, name)
    refused = coordinator.http.post("/health")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


# Every documented error


@pytest.fixture(scope="module")
def chain(stage: Stage) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(stage.rpc_url)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def crippled(
    stage: Stage, chain: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Coordinator]:
    """Without tables, disk or places for followers, and its chain may be taken away."""
    folder = tmp_path_factory.mktemp("crippled")
    values = {"followers": 0, "content_reserve": 10**18, "request_burst": 1_000_000}
    options = configure(folder, **values)
    coordinator = Coordinator(stage, folder, options, rpc_url=chain.url).start()
    wait_for(lambda: coordinator.http.get("/ready").status_code == 200, what="being ready")
    with closing(sqlite3.connect(folder / "data" / "coordinator.db", timeout=20)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in found.fetchall():
            if not name.startswith("sqlite_"):
                database.execute(f"DROP TABLE {name}")
        database.commit()
    yield coordinator
    coordinator.close()


@pytest.fixture(scope="module")
def patientless(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """Takes one request in a quarter of an hour."""
    folder = tmp_path_factory.mktemp("patientless")
    values = {"requests_per_second": 0.001, "request_burst": 1}
    coordinator = Coordinator(stage, folder, configure(folder, **values)).start()
    coordinator.http.get("/v1/network", headers=KNOWN)
    yield coordinator
    coordinator.close()


def test_every_documented_error_can_be_had(
    coordinator: Coordinator, crippled: Coordinator, patientless: Coordinator, chain: FaultyProxy
) -> None:
    recipes = Recipes(coordinator, crippled, patientless, chain)
    document = coordinator.get("/openapi.json")
    cooked, failed = 0, []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status in map(int, operation["responses"]):
                if status >= 400:
                    found = recipes.cook((method, path), status).status_code
                    cooked += 1
                    failed += [(method, path, status, found)] * (found != status)
    assert failed == []
    assert cooked > 100
