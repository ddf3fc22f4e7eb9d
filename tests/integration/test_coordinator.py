"""The coordinator as a process: messages over HTTP in, transactions on a real node out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts_stage import Stage, word
from coordinator_stage import Coordinator, Troupe, play_round

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def coordinator(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    coordinator = Coordinator(stage, tmp_path_factory.mktemp("coordinator"))
    coordinator.start()
    yield coordinator
    coordinator.close()


def recruit(stage: Stage, coordinator: Coordinator, **changes: object) -> Troupe:
    """A job whose four members joined through the coordinator."""
    later = stage.reader.fetch_head().timestamp + 3_600
    job = stage.create_job(stage.account(), recruit_until=later, **changes)
    troupe = Troupe(stage, job, [stage.worker() for _ in range(4)])
    ids = [coordinator.accept(troupe.join(worker))[0] for worker in troupe.workers]
    coordinator.wait_mined(ids)
    return troupe


def test_a_job_runs_from_joining_to_its_last_round_by_messages_alone(
    stage: Stage, coordinator: Coordinator
) -> None:
    troupe = recruit(stage, coordinator)
    job = troupe.job
    for round_ in (1, 2):
        play_round(coordinator, troupe, round_, word(f"model {round_}"))
    assert coordinator.get(f"/v1/jobs/{job}")["state"] == "completed"
    rounds = coordinator.get(f"/v1/jobs/{job}/rounds")["items"]
    assert [each["state"] for each in rounds] == ["finalised", "finalised"]
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
