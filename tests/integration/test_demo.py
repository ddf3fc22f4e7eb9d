"""`weal demo` as a stranger runs it: processes, pipes and signals, nothing imported from it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from terminals import open_terminal

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deployment import load_deployment
from commonweal.protocol.batches import opened_entries
from commonweal.protocol.cids import Cid
from commonweal.protocol.commitments import unpack_members, unpack_scores
from commonweal.protocol.events import RoundTallied, UpdatesRevealed
from commonweal.protocol.manifests import (
    CapabilitiesManifest,
    UpdateManifest,
    decode_manifest,
    manifest_cid,
)
from commonweal.protocol.types import Digest
from node_agent.config import load_config

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
WEAL = Path(sys.executable).with_name("weal")
ROUNDS = 5


def weal(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [str(WEAL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass
class Kept:
    """A demo that ran to its end and was left running."""

    folder: Path
    run: subprocess.CompletedProcess[str]

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.run.stdout)

    @property
    def note(self) -> dict[str, Any]:
        return json.loads((self.folder / "network.json").read_text())

    @property
    def chain(self) -> list[str]:
        return ["--rpc", self.note["addresses"]["rpc"], "--deployment", str(self.deployment)]

    @property
    def deployment(self) -> Path:
        return self.folder / "deployment.json"

    @property
    def url(self) -> str:
        return str(self.note["addresses"]["coordinator"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("demo")
    arguments = ("--json", "--rounds", ROUNDS, "--seed", 0, "--keep", "--data-dir", folder)
    run = weal("demo", *arguments, timeout=500)
    try:
        yield Kept(folder, run)
    finally:
        if (folder / "network.json").exists():
            weal("stop", "--data-dir", folder)


def test_exit_status_and_the_five_conditions(kept: Kept) -> None:
    assert kept.run.returncode == 0, kept.run.stderr[-3000:]
    result = kept.result
    assert result["rounds"][-1]["accuracy"] >= 0.93
    for provider in result["providers"]:
        if provider["behaviour"] == "honest":
            assert provider["earned_wei"] > 0
        else:
            assert provider["earned_wei"] == 0
    money = result["money"]
    assert money["deposited_wei"] == (money["held_wei"] + money["paid_wei"] + money["refunded_wei"])
    assert result["verify"]["ok"] is True


def test_json_is_one_object_with_the_agreed_keys(kept: Kept) -> None:
    result = kept.result
    assert set(result) == {"rounds", "providers", "money", "verify", "model_cid", "seconds"}
    assert [each["round"] for each in result["rounds"]] == list(range(1, ROUNDS + 1))
    round_keys = {"round", "accuracy", "gas", "gas_per_verified_update", "seconds"}
    assert all(set(each) == round_keys for each in result["rounds"])
    assert all(each["gas"] > 200_000 for each in result["rounds"])
    provider_keys = {"name", "behaviour", "committed", "verified", "rejected", "invalid"}
    provider_keys |= {"earned_wei", "slashed_wei", "stake_wei"}
    assert all(set(each) == provider_keys for each in result["providers"])
    behaviours = [each["behaviour"] for each in result["providers"]]
    assert sorted(behaviours) == ["honest"] * 5 + ["noise", "sign-flip"]
    assert set(result["verify"]) == {"ok", "checks"}
    assert result["verify"]["checks"] > 40 * ROUNDS
    money = result["money"]
    assert set(money) == {"deposited_wei", "held_wei", "paid_wei", "refunded_wei"}
    assert money["deposited_wei"] == (7 * 1000 + ROUNDS * 100) * 10**18
    assert result["model_cid"].startswith("bafyrei")


def test_a_terminal_shows_the_jobs_curves_below_its_events(kept: Kept) -> None:
    terminal = open_terminal(str(WEAL), "job", "watch", "1", "--url", kept.url)
    assert terminal.read_to_end() == 0
    shown = "\n".join(terminal.screen.display)
    assert f"{ROUNDS} of {ROUNDS} rounds final" in shown
    assert re.search("accuracy, median .*loss, median", shown)
    assert re.search(r"1\.00┤.*[⠀-⣿]", shown)
    assert f"round {ROUNDS}: model agreed" in shown
    plain = weal("job", "watch", 1, "--url", kept.url)
    assert "median" not in plain.stdout


def test_requester_sees_the_job(kept: Kept) -> None:
    listed = weal("job", "list", "--url", kept.url, "--json")
    assert listed.returncode == 0, listed.stderr
    (job,) = json.loads(listed.stdout)["items"]
    assert (job["job"], job["state"]) == (1, "completed")
    shown = json.loads(weal("job", "show", 1, "--url", kept.url, "--json").stdout)
    assert len(shown["rounds"]["items"]) == ROUNDS
    watched = weal("job", "watch", 1, "--url", kept.url, "--json")
    assert watched.returncode == 0, watched.stderr
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert events[0]["event"] == "JobCreated"
    assert events[-1]["data"]["state"] == "completed"
    unknown = weal("job", "show", 99, "--url", kept.url)
    assert unknown.returncode == 3
    assert unknown.stderr.startswith("error[job-unknown]")
    assert "Traceback" not in unknown.stderr


def test_a_job_that_is_not_on_chain(kept: Kept) -> None:
    unknown = weal("verify", 99, *kept.chain)
    assert unknown.returncode == 3
    assert unknown.stderr == "error[job-unknown]: there is no job 99: the chain has 1\n"


def test_submitting_and_cancelling_another_job(kept: Kept) -> None:
    keys = kept.folder / "keys"
    key = ["--keystore", keys / "requester.json", "--password-file", keys / "requester.password"]
    file = Path(__file__).resolve().parents[2] / "examples" / "digits.yaml"
    job = kept.folder / "eight.yaml"  # seven agents: it stays recruiting
    job.write_text(file.read_text().replace("max_trainers: 7", "max_trainers: 8"))
    submitted = weal("job", "submit", job, *key, "--url", kept.url, *kept.chain, "--json")
    assert submitted.returncode == 0, submitted.stderr
    number = json.loads(submitted.stdout)["job"]
    assert number == 2
    cancelled = weal("job", "cancel", number, *key, *kept.chain, "--json")
    assert cancelled.returncode == 0, cancelled.stderr
    reader = ChainReader(kept.note["addresses"]["rpc"], load_deployment(kept.deployment))
    assert reader.fetch_job(number, reader.fetch_head().number).state.name == "CANCELLED"
    again = weal("job", "cancel", number, *key, *kept.chain)
    assert again.returncode != 0
    assert again.stderr.startswith("error[contract-reverted]")


def test_model_is_fetched_from_the_providers(kept: Kept, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    file = tmp_path / "model.safetensors"
    got = weal("model", "get", 1, "-o", file, *kept.chain, "--json")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["cid"] == kept.result["model_cid"]
    assert load_file(file)["output.bias"].shape == (10,)
    card = file.with_suffix(".md").read_text()
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert f"| {ROUNDS} | `{kept.result['model_cid']}` |" in card


def test_a_node_publishes_what_its_machine_does(kept: Kept) -> None:
    config = kept.folder / "honest-1" / "node.yaml"
    command = [str(WEAL.with_name("weal-node")), "bench", "--json", "--config", str(config)]
    bench = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert bench.returncode == 0, bench.stderr
    found = json.loads(bench.stdout)
    assert found["measured"]["mlp_samples_per_second"] > 0
    assert found["measured"]["upload_mbit_per_second"] > 0
    provider = load_config(config).provider
    for _ in range(100):
        shown = httpx.get(f"{kept.url}/v1/providers/{provider}", trust_env=False).json()
        if shown["capabilities"] == found["capabilities"]:
            break
        time.sleep(0.1)
    block = httpx.get(f"{kept.url}/ipfs/{shown['capabilities']}?format=raw", trust_env=False)
    manifest = decode_manifest(block.content)
    assert isinstance(manifest, CapabilitiesManifest)
    assert dict(manifest.measured) == found["measured"]
    assert shown["endpoint"] == kept.note["addresses"]["honest-1"]


def test_verification_needs_no_coordinator(kept: Kept, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    coordinator = kept.note["processes"]["coordinator"]["pid"]
    os.kill(coordinator, signal.SIGSTOP)  # it cannot answer anybody
    try:
        verified = weal("verify", 1, *kept.chain, "--json", "--html", page)
    finally:
        os.kill(coordinator, signal.SIGCONT)
    assert f"Verified: all {json.loads(verified.stdout)['checks']:,} checks" in page.read_text()
    report = json.loads(verified.stdout)
    assert verified.returncode == 0, report["first_broken"]
    assert report["ok"]
    assert report["counts"]["model-recomputed"] == ROUNDS
    assert report["models"][str(ROUNDS)] == kept.result["model_cid"]


@pytest.fixture
def store(kept: Kept, tmp_path: Path) -> Path:
    """A validator's content store, which holds all of the job."""
    return Path(shutil.copytree(kept.folder / "honest-1" / "content", tmp_path / "content"))


def verify_store(kept: Kept, store: Path) -> dict[str, Any]:
    run = weal("verify", 1, "--store", store, "--offline", *kept.chain, "--json")
    report = json.loads(run.stdout)
    assert run.returncode == (0 if report["ok"] else 1)
    return report


def block_path(store: Path, cid: str) -> Path:
    (path,) = (store / "blocks").rglob(cid)
    return path


def find_verified(kept: Kept, round_: int) -> tuple[int, Digest]:
    """Member and digest of one verified update."""
    reader = ChainReader(kept.note["addresses"]["rpc"], load_deployment(kept.deployment))
    events = reader.fetch_events(0, reader.fetch_head().number, 1)
    digests: dict[int, Digest] = {}
    for event in events:
        if isinstance(event, UpdatesRevealed) and event.round == round_:
            assert event.opened == 2 ** len(unpack_members(event.members)) - 1
            digests |= {member: Digest(digest) for member, digest in opened_entries(event)}
    tallied = next(e for e in events if isinstance(e, RoundTallied) and e.round == round_)
    scores = zip(sorted(digests), unpack_scores(tallied.scores), strict=True)
    member = next(member for member, score in scores if 0 < score < 65_534)
    return member, digests[member]


def test_store_alone_is_enough(kept: Kept, store: Path) -> None:
    assert verify_store(kept, store)["ok"]


def test_flipped_byte_in_a_stored_update_is_named(kept: Kept, store: Path) -> None:
    member, digest = find_verified(kept, 2)
    manifest = decode_manifest(block_path(store, manifest_cid(digest)).read_bytes())
    assert isinstance(manifest, UpdateManifest)
    path = block_path(store, manifest.payload)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    first = verify_store(kept, store)["first_broken"]
    assert first["subject"] == f"round 2, member {member}"
    assert first["name"] == "update-content"


def test_missing_block_is_named(kept: Kept, store: Path) -> None:
    member, digest = find_verified(kept, 3)
    block_path(store, str(Cid("dag-cbor", bytes(digest)))).unlink()
    first = verify_store(kept, store)["first_broken"]
    assert (first["name"], first["subject"]) == ("update-content", f"round 3, member {member}")
    assert "content-not-found" in first["detail"]


def test_stopping_leaves_no_process(kept: Kept) -> None:
    """The last test of the kept network: it ends it."""
    processes = {name: each["pid"] for name, each in kept.note["processes"].items()}
    assert len(processes) == 9  # chain, coordinator, seven agents
    stopped = weal("stop", "--data-dir", kept.folder)
    assert stopped.returncode == 0, stopped.stderr
    assert [name for name, pid in processes.items() if is_running(pid)] == []


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_signal_stops_every_process(tmp_path: Path, number: int, status: int) -> None:
    command = [str(WEAL), "demo", "--data-dir", str(tmp_path / "demo")]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = wait_for_children(demo, 9)
    demo.send_signal(number)
    assert demo.wait(90) == status
    deadline = time.monotonic() + 10
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in children if is_running(pid)] == []


def test_dev_prints_what_a_developer_needs_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    command = [str(WEAL), "dev", "--agents", "1", "--data-dir", str(tmp_path / "dev")]
    dev = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert dev.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        line = dev.stdout.readline()
        assert line, "".join(lines)
        lines.append(line.strip())
    exports = dict(line.split(" ", 1)[1].split("=", 1) for line in lines if line[:6] == "export")
    assert set(exports) == {
        "WEAL_URL",
        "WEAL_RPC",
        "WEAL_DEPLOYMENT",
        "WEAL_KEYSTORE",
        "WEAL_PASSWORD_FILE",
    }
    listed = subprocess.run(
        [str(WEAL), "job", "list", "--json"],
        env={**os.environ, **exports},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout)["items"] == []
    children = find_descendants(dev.pid)
    assert len(children) == 3
    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=30)
    assert dev.returncode == 0
    assert [pid for pid in children if is_running(pid)] == []


def wait_for_children(parent: subprocess.Popen[bytes], count: int) -> list[int]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert parent.poll() is None, "it ended by itself"
        children = find_descendants(parent.pid)
        if len(children) >= count:
            return children
        time.sleep(0.1)
    raise AssertionError(f"{count} processes were not started in time")


def find_descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := read_stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found: list[int] = []
    for _ in range(3):
        found = [child for child, parent in parents.items() if parent in (pid, *found)]
    return found


def is_running(pid: int) -> bool:
    fields = read_stat(pid)
    return fields is not None and fields[0] != "Z"


def read_stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
