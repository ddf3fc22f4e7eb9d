"""The coordinator as a program: several keys, killed, started on nothing, and starts that fail."""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import replace

import pytest
from contracts_stage import Stage, Worker
from coordinator_stage import Coordinator, Troupe, recruit, wait_for
from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from commonweal.adapters.keystore import store_key

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_several_keys_are_watched_one_by_one_and_the_first_signs_receipts(
    stage: Stage, another: Coordinator, workers: list[Worker]
) -> None:
    more = stage.account()
    file = another.folder / "more.json"
    store_key(file, "test", bytes(more.key), light=True)
    another.options = {"--more-keystores": file}
    another.start()
    wait_for(lambda: another.get("/health")["lag"] == 0, what="catching up")
    recruit(stage, another, workers)
    assert another.get("/health")["sender"] == another.account.address

    def find_pending() -> dict[str, str]:
        lines = another.http.get("/metrics").text.splitlines()
        return dict(x.rsplit(" ", 1) for x in lines if x.startswith("commonweal_outbox_pending"))

    senders = {
        f'commonweal_outbox_pending{{sender="{account.address}"}}': "0.0"
        for account in (another.account, more)
    }
    wait_for(lambda: find_pending() == senders, what="an empty outbox")
    assert more.key.hex().removeprefix("0x") not in another.log


def test_killed_between_accepting_and_sending_it_sends_after_its_restart(
    stage: Stage, another: Coordinator, workers: list[Worker]
) -> None:
    another.options = {"--relay-delay": 60}
    another.start()
    wait_for(lambda: another.get("/health")["lag"] == 0, what="catching up")
    troupe = recruit(stage, another, workers)
    another.wait_phase(troupe.job, 1, "commit")
    (waiting,) = another.accept(troupe.commit(1, 2, troupe.members()[2]))
    assert another.get(f"/v1/messages/{waiting}")["state"] == "accepted"
    another.stop(signal.SIGKILL)
    assert stage.round(troupe.job).commits == 0
    another.options = {"--relay-delay": 0.1}
    another.start()
    another.wait_mined([waiting])
    assert stage.round(troupe.job).committed == {2}


def test_on_an_empty_database_in_mid_job_it_catches_up_and_carries_on(
    stage: Stage, coordinator: Coordinator, another: Coordinator, troupe: Troupe
) -> None:
    members = troupe.members()
    commits = [troupe.commit(1, member, worker) for member, worker in members.items()]
    coordinator.wait_mined(coordinator.accept(commits))
    another.start()
    another.wait_phase(troupe.job, 1, "reveal")
    another.wait_mined(another.accept([troupe.reveal(1, member) for member in members]))
    for path in ("", "/members", "/rounds", "/rounds/1/updates"):
        url = f"/v1/jobs/{troupe.job}{path}"
        wait_for(lambda url=url: another.get(url) == coordinator.get(url), what=url)  # type: ignore[misc]
    assert another.stop() == 0
    before = (another.folder / "log").stat().st_size
    done = subprocess.run(another.command("reindex"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "events indexed" in done.stdout
    assert (another.folder / "log").stat().st_size == before


def test_it_ends_on_a_signal_and_takes_its_endpoint_away(another: Coordinator) -> None:
    another.start()
    endpoint = another.folder / "data" / "endpoint"
    with another.http.stream("GET", "/v1/jobs/1/events"):
        assert another.stop(signal.SIGINT) == 0
    assert not endpoint.exists()
    assert "Traceback" not in another.log
    assert another.account.key.hex() not in another.log


def test_a_start_that_cannot_work_says_why(coordinator: Coordinator, another: Coordinator) -> None:
    port = coordinator.http.base_url.port
    (another.folder / "wrong").write_text("wrong\n")
    deployment = another.stage.deployment
    foreign, moved = another.folder / "foreign.json", another.folder / "moved.json"
    replace(deployment, chain_id=5).save(foreign)
    addresses = {**deployment.contracts, "Rounds": deployment["Faults"]}
    replace(deployment, contracts=addresses).save(moved)
    database = f"sqlite:///{coordinator.folder / 'data' / 'coordinator.db'}"
    numbers = {"wrong-chain": ("31337", "5"), "port-in-use": (str(port),)}
    cases = {
        ("--port", port): "port-in-use",
        ("--password-file", another.folder / "wrong"): "password-wrong",
        ("--rpc-url", "http://127.0.0.1:1"): "chain-unavailable",
        ("--deployment", another.folder / "none.json"): "deployment-not-found",
        ("--port", 70_000): "invalid-settings",
        ("--more-keystores", another.folder / "key.json"): "invalid-settings",
        ("--deployment", foreign): "wrong-chain",
        ("--deployment", moved, "--database-url", database): "database-of-another-network",
    }
    for options, code in cases.items():
        command = another.run_command(*options)
        if "--rpc-url" in options:  # endpoints add up: only the one that is away may be left
            first = command.index("--rpc-url")
            del command[first : first + 2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"{code}: "), done.stderr
        assert set(numbers.get(code, ())) <= set(re.findall(r"\d+", last)), last
        assert "Traceback" not in done.stderr


def test_an_announcement_that_is_no_text_stops_nobody(
    stage: Stage, coordinator: Coordinator
) -> None:
    worker = stage.worker()
    fields = encode(["address", "bytes", "bytes32"], [worker.provider, b"http://\xff\0", bytes(32)])
    send_raw(stage, worker.owner, "ProviderRegistry", "announce(address,string,bytes32)", fields)
    path = f"/v1/providers/{worker.provider}"

    def read_endpoint() -> str | None:
        answer: dict[str, str] = coordinator.http.get(path).json()
        return answer.get("endpoint")

    wait_for(lambda: read_endpoint() == "http://\ufffd\ufffd", what="following")
    assert coordinator.get("/health")["lag"] == 0


def send_raw(stage: Stage, who: LocalAccount, contract: str, signature: str, fields: bytes) -> None:
    """What no encoder of ours would send."""
    eth = stage.reader.web3.eth
    transaction = {
        "to": stage.deployment[contract],
        "data": keccak(text=signature)[:4] + fields,
        "gas": 200_000,
        "gasPrice": eth.gas_price * 2,
        "nonce": eth.get_transaction_count(who.address),
        "chainId": eth.chain_id,
    }
    sent = eth.send_raw_transaction(who.sign_transaction(transaction).raw_transaction)
    assert eth.wait_for_transaction_receipt(sent)["status"] == 1
