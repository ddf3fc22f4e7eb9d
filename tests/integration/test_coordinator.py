"""The coordinator as a process: messages over HTTP in, transactions on a real node out."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace

import pytest
from contracts_stage import ETHER, TERMS, Stage, Worker, word
from coordinator_stage import (
    Coordinator,
    Json,
    Troupe,
    make_offer,
    play_round,
    recruit,
    text,
    wait_for,
)
from fastapi.openapi.models import OpenAPI

from commonweal.protocol import signing
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.types import Address, Member

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def is_final(coordinator: Coordinator, path: str) -> bool:
    answer = coordinator.get(path)
    return bool(answer.get("items", [answer])[-1]["final"])


def test_a_job_runs_from_joining_to_its_last_round_by_messages_alone(
    stage: Stage, coordinator: Coordinator, workers: list[Worker]
) -> None:
    troupe = recruit(stage, coordinator, workers)
    job = troupe.job
    for round_ in (1, 2):
        play_round(coordinator, troupe, round_, word(f"model {round_}"))
    assert coordinator.get(f"/v1/jobs/{job}")["state"] == "completed"
    rounds = coordinator.get(f"/v1/jobs/{job}/rounds")["items"]
    assert [each["state"] for each in rounds] == ["finalised", "finalised"]
    paths = [f"/v1/jobs/{job}{part}" for part in ("", "/rounds/2", "/models?cursor=1")]
    stage.mine(12)
    wait_for(lambda: all(is_final(coordinator, path) for path in paths), what="finality")
    for round_ in (1, 2):
        updates = coordinator.get(f"/v1/jobs/{job}/rounds/{round_}/updates")["items"]
        assert [each["verdict"] for each in updates] == ["verified"] * 4
        for update in updates:
            proof = [bytes.fromhex(node[2:]) for node in update["proof"]]
            digest = bytes.fromhex(update["digest"][2:])
            assert stage.reader.call(
                "ModelLedger",
                "isVerdict",
                job,
                round_,
                update["member"],
                digest,
                update["score"],
                proof,
                at=stage.now,
            )
    payments = coordinator.get(f"/v1/jobs/{job}/payments")["items"]
    chain = {m.member: m.credit for m in stage.reader.fetch_members(job, stage.now)}
    indexed = {m: sum(int(p["amount"]) for p in payments if p["member"] == m) for m in chain}
    assert indexed == chain
    shown = coordinator.get(f"/v1/jobs/{job}")
    assert int(shown["escrow"]) == stage.reader.fetch_job(job, stage.now).escrow


def refusal(coordinator: Coordinator, message: Json | list[Json]) -> tuple[int, str, Json]:
    response = coordinator.post(message)
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert problem["status"] == response.status_code
    return response.status_code, problem["code"], problem


def test_what_the_chain_would_refuse_is_refused_with_its_code_and_numbers(
    stage: Stage, coordinator: Coordinator, troupe: Troupe
) -> None:
    job, members = troupe.job, troupe.members()
    worker, other = members[0], members[1]
    good = troupe.commit(1, 0, worker)

    status, code, problem = refusal(coordinator, troupe.commit(1, 0, other))
    assert (status, code) == (400, "signature-wrong")
    assert problem["expected"] == worker.operator.address
    assert problem["recovered"] == other.operator.address

    replayed = {**troupe.commit(2, 0, worker), "round": 1}
    assert refusal(coordinator, replayed)[:2] == (400, "signature-wrong")
    nobody = {**good, "signature": "0x" + "00" * 64}
    assert refusal(coordinator, nobody)[:2] == (400, "signature-wrong")
    elsewhere = replace(stage.deployment.rounds_domain, chain_id=5)
    sealed = bytes.fromhex(good["commitment"][2:])
    signature = worker.sign(signing.hash_update_commitment(elsewhere, job, 1, sealed))
    foreign = {**good, "signature": text(signature)}
    assert refusal(coordinator, foreign)[:2] == (400, "signature-wrong")
    assert refusal(coordinator, {**good, "job": 999})[:2] == (404, "job-unknown")
    assert refusal(coordinator, {**good, "member": 99})[:2] == (404, "member-unknown")
    status, code, problem = refusal(coordinator, {**good, "round": 7})
    assert (status, code, problem["current"]) == (409, "round-wrong", 1)
    status, code, problem = refusal(coordinator, troupe.reveal(1, 0))
    assert (status, code) == (409, "phase-closed")
    assert (problem["phase"], problem["needed"]) == ("commit", "reveal")
    assert refusal(coordinator, troupe.attest(1, 0, worker, word("m")))[1] == "phase-closed"
    joined = troupe.join(worker)
    assert refusal(coordinator, joined)[:2] == (409, "already-on-chain")
    expired = troupe.join(worker, deadline=1)
    assert refusal(coordinator, expired)[:2] == (409, "signature-expired")
    assert refusal(coordinator, troupe.join(Worker(worker.operator, worker.owner)))[:2] == (
        404,
        "provider-unknown",
    )
    assert refusal(coordinator, {**good, "job": "x"})[:2] == (422, "invalid-request")
    assert refusal(coordinator, {**good, "surprise": 1})[:2] == (422, "invalid-request")
    assert refusal(coordinator, [good] * 65)[:2] == (422, "invalid-request")
    # Nothing of all that reached the chain or stops the good one.
    assert stage.round(job).commits == 0
    coordinator.wait_mined(coordinator.accept(good))


def test_a_message_is_accepted_once_and_only_one_value_per_slot(
    coordinator: Coordinator, troupe: Troupe, stage: Stage
) -> None:
    worker = troupe.members()[0]
    message = troupe.commit(1, 0, worker)
    (first,) = coordinator.accept(message)
    assert coordinator.accept(message) == [first]
    receipt = coordinator.get(f"/v1/messages/{first}")["receipt"]
    assert receipt["coordinator"] == coordinator.account.address
    digest = signing.hash_relay_receipt(
        stage.deployment.rounds_domain, bytes.fromhex(first), receipt["received_at"]
    )
    signer = signing.recover_compact(digest, bytes.fromhex(receipt["signature"][2:]))
    assert signer == coordinator.account.address
    other = word("another commitment")
    signature = worker.sign(stage.hash_commitment(troupe.job, 1, other))
    second = {**message, "commitment": text(other), "signature": text(signature)}
    status, code, problem = refusal(coordinator, second)
    assert (status, code, problem["id"]) == (409, "slot-taken", first)
    (state,) = coordinator.wait_mined([first])
    assert stage.reader.web3.eth.get_transaction_receipt(state["tx"])["status"] == 1
    assert coordinator.accept(message) == [first]


def test_a_wrong_opening_never_costs_the_others_their_batch(
    coordinator: Coordinator, troupe: Troupe, stage: Stage
) -> None:
    members = troupe.members()
    commits = [troupe.commit(1, member, worker) for member, worker in members.items()]
    coordinator.wait_mined(coordinator.accept(commits))
    coordinator.wait_phase(troupe.job, 1, "reveal")
    wrong = {**troupe.reveal(1, 0), "salt": "0x" + "11" * 16}
    assert refusal(coordinator, wrong)[:2] == (400, "opening-wrong")
    # A list is checked as a whole before one of it is accepted.
    assert refusal(coordinator, [troupe.reveal(1, 1), wrong])[1] == "opening-wrong"
    assert stage.round(troupe.job).reveals == 0
    coordinator.wait_mined(coordinator.accept([troupe.reveal(1, member) for member in members]))
    assert stage.round(troupe.job).reveals == len(members)


def test_a_message_that_somebody_else_brought_first_counts_as_mined(
    coordinator: Coordinator, troupe: Troupe, stage: Stage
) -> None:
    members = troupe.members()
    (waiting,) = coordinator.accept(troupe.commit(1, 0, members[0]))
    stage.commit(troupe.job, 1, {0: members[0]})
    coordinator.wait_mined([waiting])
    shown = coordinator.get(f"/v1/messages/{waiting}")
    assert (shown["tx"], shown["reason"]) == (None, None)


def test_it_says_whether_it_is_ready_and_what_it_measures(
    coordinator: Coordinator, troupe: Troupe
) -> None:
    wait_for(lambda: coordinator.http.get("/ready").status_code == 200, what="being ready")
    assert coordinator.get("/ready")["leads"]
    coordinator.wait_mined(coordinator.accept(troupe.commit(1, 0, troupe.members()[0])))
    ours = f'{{sender="{coordinator.account.address}"}}'
    idle = f"commonweal_outbox_pending{ours} 0.0"
    wait_for(lambda: idle in coordinator.http.get("/metrics").text)
    answer = coordinator.http.get("/metrics", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    values = dict(
        line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")
    )
    assert float(values[f"commonweal_gas_total{ours}"]) > 21_000
    assert float(values['commonweal_messages{state="mined"}']) >= 1
    assert float(values["commonweal_lag_blocks"]) >= 0
    strange = coordinator.http.get("/health", headers={"X-Request-ID": "no\tid"})
    assert strange.headers["x-request-id"] != "no\tid"


def test_bodies_are_bounded_before_they_are_read(coordinator: Coordinator) -> None:
    response = coordinator.http.post("/v1/messages", content=b"[" + b" " * 3 * 2**20)
    assert (response.status_code, response.json()["code"]) == (413, "body-too-large")
    chunks = (b" " * 2**18 for _ in range(20))
    response = coordinator.http.post("/v1/messages", content=chunks)
    assert (response.status_code, response.json()["code"]) == (413, "body-too-large")
    nested = b"[" * 500_000 + b"]" * 500_000
    headers = {"content-type": "application/json"}
    response = coordinator.http.post("/v1/messages", content=nested, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "json-too-deep")
    assert coordinator.get("/health")["status"] == "ok"


def test_reads_have_bounds_and_problems(coordinator: Coordinator, troupe: Troupe) -> None:
    http = coordinator.http
    cases = {
        "/v1/jobs/999": (404, "job-unknown"),
        "/v1/jobs/0": (422, "invalid-request"),
        "/v1/jobs?limit=201": (422, "invalid-request"),
        "/v1/jobs?cursor=x": (400, "invalid-cursor"),
        "/v1/jobs?state=odd": (422, "invalid-request"),
        f"/v1/jobs/{troupe.job}/rounds/9": (404, "round-unknown"),
        f"/v1/jobs/{troupe.job}/payments?cursor=3": (400, "invalid-cursor"),
        "/v1/jobs/999/events": (404, "job-unknown"),
        "/v1/providers/0x00": (400, "invalid-address"),
        "/v1/providers/0x" + "00" * 20: (404, "provider-unknown"),
        "/v1/messages/nothing": (404, "message-unknown"),
        "/v1/offers/nothing": (404, "offer-unknown"),
        "/nowhere": (404, "not-found"),
    }
    for path, expected in cases.items():
        response = http.get(path)
        problem = response.json()
        assert (response.status_code, problem["code"]) == expected, path
        assert response.headers["content-type"] == "application/problem+json"
    headers = http.get("/health").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    pages, cursor = [], ""
    while True:
        page = coordinator.get(f"/v1/jobs/{troupe.job}/members?limit=3{cursor}")
        pages.append([each["member"] for each in page["items"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == [[0, 1, 2], [3]]


def test_providers_are_shown_as_the_chain_has_them(
    coordinator: Coordinator, troupe: Troupe, stage: Stage
) -> None:
    owner = troupe.workers[0].provider
    shown = coordinator.get(f"/v1/providers/{owner}")
    chain = stage.reader.fetch_provider(owner, stage.now)
    assert (int(shown["free"]), int(shown["locked"])) == (chain.free, chain.locked)
    assert shown["roles"] == ["trainer", "validator"]
    rewards = coordinator.get(f"/v1/providers/{owner}/rewards")
    credit = sum(
        m.credit for job in range(1, troupe.job + 1) for m in members_of(stage, job, owner)
    )
    assert int(rewards["claimable"]) == credit > 0
    assert troupe.job in [job["job"] for job in rewards["jobs"]]


def test_an_offer_becomes_a_job_at_the_coordinators_cost(
    coordinator: Coordinator, stage: Stage
) -> None:
    requester = stage.account()
    escrow = TERMS.rounds * TERMS.price_per_round
    board = stage.deployment["JobBoard"]
    stage.send(stage.deployer, "CommonwealToken", "transfer", requester.address, escrow)
    stage.send(requester, "CommonwealToken", "approve", board, escrow)
    offer = make_offer(stage, requester, escrow)
    refused = coordinator.http.post("/v1/jobs", json=offer)
    assert (refused.status_code, refused.json()["code"]) == (401, "sign-in-required")
    session = coordinator.sign_in(requester)
    forged = {**offer, "escrow": escrow + 1}
    response = coordinator.http.post("/v1/jobs", json=forged, headers=session)
    assert (response.status_code, response.json()["code"]) == (400, "signature-wrong")
    poor = make_offer(stage, stage.account(), escrow)
    response = coordinator.http.post("/v1/jobs", json=poor, headers=session)
    assert (response.status_code, response.json()["code"]) == (409, "contract-reverted")
    response = coordinator.http.post("/v1/jobs", json=offer, headers=session)
    assert response.status_code == 202
    path = f"/v1/offers/{response.json()['id']}"
    job = wait_for(lambda: coordinator.get(path)["job"], what="the job")
    wait_for(lambda: coordinator.http.get(f"/v1/jobs/{job}").status_code == 200)
    shown = coordinator.get(f"/v1/jobs/{job}")
    assert (shown["requester"], shown["deposit"]) == (requester.address, str(escrow))
    again = coordinator.http.post("/v1/jobs", json=offer, headers=session)
    assert (again.status_code, again.json()["job"]) == (202, job)


def test_the_api_describes_itself(coordinator: Coordinator) -> None:
    document = coordinator.get("/openapi.json")
    OpenAPI.model_validate(document)
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in schemas
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)


def read_events(coordinator: Coordinator, job: int, count: int, last: str = "") -> list[Json]:
    headers = {"Last-Event-ID": last} if last else {}
    events: list[Json] = []
    fields: dict[str, str] = {}
    with coordinator.http.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line and "data" in fields:
                events.append({**fields, "data": json.loads(fields["data"])})
                fields = {}
            if len(events) == count:
                return events
    raise AssertionError(f"the stream ended after {len(events)} events")


def test_a_follower_resumes_where_it_left_off(coordinator: Coordinator, troupe: Troupe) -> None:
    first = read_events(coordinator, troupe.job, 6)
    names = [event["event"] for event in first]
    assert names == ["JobCreated", *["MemberJoined"] * 4, "JobStateChanged"]
    assert first[0]["data"]["escrow"] == str(TERMS.rounds * TERMS.price_per_round)
    rest = read_events(coordinator, troupe.job, 4, last=first[1]["id"])
    assert rest == first[2:]
    # What happens while somebody listens arrives.
    found: list[Json] = []
    follow = threading.Thread(
        target=lambda: found.extend(read_events(coordinator, troupe.job, 2, first[-1]["id"]))
    )
    follow.start()
    coordinator.accept(troupe.commit(1, 0, troupe.members()[0]))
    follow.join(timeout=20)
    assert [event["event"] for event in found] == ["RoundOpened", "UpdatesCommitted"]
    response = coordinator.http.get(f"/v1/jobs/{troupe.job}/events", headers={"Last-Event-ID": "x"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid-cursor")


def test_followers_are_counted_and_a_place_comes_free(
    another: Coordinator, coordinator: Coordinator, troupe: Troupe
) -> None:
    another.options = {"--followers": 2}
    another.start()
    url = f"/v1/jobs/{troupe.job}/events"
    wait_for(lambda: another.http.get(f"/v1/jobs/{troupe.job}").status_code == 200)
    with another.http.stream("GET", url), another.http.stream("GET", url):
        response = another.http.get(url)
        assert (response.status_code, response.json()["code"]) == (503, "too-many-followers")
        assert response.json()["limit"] == 2
        assert another.http.get("/v1/jobs/999/events").json()["code"] == "job-unknown"
    wait_for(lambda: follow_once(another, url) == 200, what="a free place")


def follow_once(coordinator: Coordinator, url: str) -> int:
    with coordinator.http.stream("GET", url) as response:
        return response.status_code


def test_a_job_that_pays_too_little_is_not_relayed(another: Coordinator, troupe: Troupe) -> None:
    another.options = {"--min-coordinator-share-bps": TERMS.coordinator_share_bps + 1}
    another.start()
    wait_for(lambda: another.http.get(f"/v1/jobs/{troupe.job}").status_code == 200)
    status, code, problem = refusal(another, troupe.commit(1, 0, troupe.members()[0]))
    assert (status, code) == (409, "coordinator-share-too-low")
    assert (problem["share"], problem["need"]) == (333, 334)


def test_uploads_leave_the_disk_its_reserve(another: Coordinator) -> None:
    another.options = {"--content-reserve": 10**18}
    another.start()
    session = another.sign_in(another.stage.account(tokens=ETHER))
    path = f"/v1/blocks/{compute_cid(b'block', 'raw')}"
    response = another.http.put(path, content=b"block", headers=session)
    assert (response.status_code, response.json()["code"]) == (507, "store-full")
    assert response.json()["reserve"] == 10**18


def members_of(stage: Stage, job: int, owner: Address) -> list[Member]:
    members = stage.reader.fetch_members(job, stage.now)
    return [member for member in members if member.provider == owner]
