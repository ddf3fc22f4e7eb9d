"""Two coordinators on one PostgreSQL: one leads, and is not missed when it is killed."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts_stage import ETHER, Stage, word
from coordinator_stage import Coordinator, Troupe, play_round, wait_for

from tests.postgres import PostgresServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
TAKEOVER_SECONDS = 5.0


@pytest.fixture
def pair(
    stage: Stage, tmp_path: Path, postgres: PostgresServer
) -> Iterator[tuple[Coordinator, Coordinator]]:
    """The first leads."""
    options = {"--database-url": postgres.create_database("pair")}
    first, second = (Coordinator(stage, tmp_path / name, options) for name in ("1", "2"))
    first.start()
    wait_for(lambda: first.get("/health")["leads"], what="leading")
    second.start()
    yield first, second
    for each in (first, second):
        each.close()
        check_log(each)
    postgres.execute("DROP DATABASE pair WITH (FORCE)")


def check_log(coordinator: Coordinator) -> None:
    """No secret is in it, whatever happened."""
    key_file = json.loads((coordinator.folder / "key.json").read_text())
    secrets = [coordinator.account.key.hex().removeprefix("0x"), key_file["crypto"]["ciphertext"]]
    log = coordinator.log
    assert "coordinator listening" in log
    assert not [secret for secret in secrets if secret in log]


def test_messages_accepted_by_one_are_sent_by_the_other_after_kill_9(
    stage: Stage, pair: tuple[Coordinator, Coordinator]
) -> None:
    first, second = pair
    later = stage.reader.fetch_head().timestamp + 3_600
    workers = [stage.worker(stake=10_000 * ETHER) for _ in range(4)]
    troupe = Troupe(stage, stage.create_job(stage.account(), recruit_until=later), workers)
    # Whoever does not lead takes messages too, and the leader sends them.
    second.wait_mined([second.accept(troupe.join(worker))[0] for worker in workers])
    assert not second.get("/health")["leads"]
    play_round(second, troupe, 1, word("model 1"))

    second.wait_phase(troupe.job, 2, "commit")
    commits = [troupe.commit(2, member, w) for member, w in troupe.members().items()]
    ids = first.accept(commits)
    first.stop(signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: second.get("/health")["leads"], what="taking over")
    assert time.monotonic() - killed < TAKEOVER_SECONDS
    second.wait_mined(ids)
    assert stage.round(troupe.job).commits == len(commits)


def test_what_the_leader_has_not_written_yet_is_waited_for(
    stage: Stage, pair: tuple[Coordinator, Coordinator]
) -> None:
    first, second = pair
    worker = stage.worker(stake=10_000 * ETHER)
    wait_for(lambda: second.get("/health")["lag"] == 0, what="following")
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    later = stage.reader.fetch_head().timestamp + 3_600
    job = stage.create_job(stage.account(), recruit_until=later)
    going_on = threading.Timer(0.7, first.process.send_signal, [signal.SIGCONT])
    going_on.start()
    second.wait_mined(second.accept(Troupe(stage, job, [worker]).join(worker)))
    going_on.join()


def test_a_leader_that_stops_in_order_hands_over_and_comes_back_as_the_second(
    pair: tuple[Coordinator, Coordinator],
) -> None:
    first, second = pair
    assert first.stop() == 0
    wait_for(lambda: second.get("/health")["leads"], what="taking over")
    first.start()
    wait_for(lambda: first.get("/health")["head"] is not None, what="following")
    assert not first.get("/health")["leads"]
    assert second.get("/health")["leads"]
