"""A coordinator as a process of its own on a stage, and agents' messages as the JSON it is sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from contracts_stage import ETHER, FOREVER, TERMS, Stage, Worker
from eth_account.signers.local import LocalAccount

from commonweal.adapters.http import open_client
from commonweal.adapters.keystore import store_key
from commonweal.adapters.sign_in import SignIn
from commonweal.protocol import signing
from commonweal.protocol.commitments import compute_ballot_commitment, pack_scores
from commonweal.protocol.types import Address, Role, Wei

CHECKOUT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


def text(data: bytes) -> str:
    return "0x" + data.hex()


def wait_for(condition: Callable[[], Any], seconds: float = 20.0, what: str = "it") -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@dataclass
class Coordinator:
    """`options` go to the command line; the database may be any."""

    stage: Stage
    folder: Path
    options: Mapping[str, object] = field(default_factory=dict)
    rpc_url: str = ""  # the stage's
    process: subprocess.Popen[bytes] | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.account = self.stage.account()
        store_key(self.folder / "key.json", "test", bytes(self.account.key), light=True)
        (self.folder / "password").write_text("test\n")
        self.stage.deployment.save(self.folder / "deployment.json")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def command(self, *arguments: str) -> list[str]:
        options = {
            "--rpc-url": self.rpc_url or self.stage.rpc_url,
            "--deployment": self.folder / "deployment.json",
            "--data-dir": self.folder / "data",
        }
        flat = [str(part) for pair in options.items() for part in pair]
        return [sys.executable, "-m", "service", *arguments, *flat]

    def run_command(self, *options: object) -> list[str]:
        extra: dict[str, object] = {
            "--keystore": self.folder / "key.json",
            "--password-file": self.folder / "password",
            "--port": 0,
            "--poll-interval": 0.05,
            **self.options,
        }
        flat = [str(part) for pair in extra.items() for part in pair]
        return [*self.command("run"), *flat, *map(str, options)]

    def start(self) -> Coordinator:
        endpoint = self.folder / "data" / "endpoint"
        endpoint.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                self.run_command(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        wait_for(lambda: endpoint.exists() or self.has_ended, 60, "listening")
        assert endpoint.exists(), self.log
        self.http.base_url = httpx.URL(endpoint.read_text().strip())
        return self

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def close(self) -> None:
        if self.process is not None and not self.has_ended:
            self.stop(signal.SIGKILL)
        self.http.close()

    def sign_in(self, account: LocalAccount) -> dict[str, str]:
        """Headers that show who asks."""
        base = str(self.http.base_url).rstrip("/")
        with open_client() as client:
            return SignIn(account, self.stage.deployment.rounds_domain, client).headers(base)

    def get(self, path: str) -> Any:
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, message: Json | Sequence[Json]) -> httpx.Response:
        return self.http.post("/v1/messages", json=message)

    def accept(self, message: Json | Sequence[Json]) -> list[str]:
        """Their ids."""
        response = self.post(message)
        assert response.status_code == 202, response.text
        answer = response.json()
        return [each["id"] for each in (answer if isinstance(answer, list) else [answer])]

    def wait_mined(self, ids: Sequence[str]) -> list[Json]:
        def find() -> list[Json] | None:
            states = [self.get(f"/v1/messages/{each}") for each in ids]
            done = all(state["state"] in ("mined", "refused") for state in states)
            return states if done else None

        states: list[Json] = wait_for(find, what=f"mining of {ids}")
        assert all(state["state"] == "mined" for state in states), (states, self.log)
        return states

    def wait_phase(self, job: int, round_: int, phase: str) -> Json:
        def find() -> Json | None:
            response = self.http.get(f"/v1/jobs/{job}/rounds/{round_}")
            found: Json = response.json()
            return found if response.status_code == 200 and found["phase"] == phase else None

        found: Json = wait_for(find, what=f"phase {phase} of round {round_}")
        return found


def sign_in_form(coordinator: Coordinator, account: LocalAccount, **changes: Any) -> Json:
    """`changes` are signed too."""
    challenge = coordinator.http.post("/v1/sessions/challenge").json()
    host = coordinator.http.base_url.netloc.decode()
    names = {"host": host, "account": account.address, "nonce": challenge["nonce"], **changes}
    digest = signing.hash_sign_in(
        coordinator.stage.deployment.rounds_domain,
        names["host"],
        challenge["coordinator"],
        names["account"],
        names["nonce"],
        challenge["expires_at"],
    )
    return {**names, "signature": text(signing.sign_compact(bytes(account.key), digest))}


@dataclass
class Troupe:
    """Workers of one job and what they would say in each of its rounds."""

    stage: Stage
    job: int
    workers: list[Worker]  # in the order of joining

    def join(self, worker: Worker, **changes: Any) -> Json:
        reader, stake = self.stage.reader, 60 * ETHER
        nonce = reader.fetch_member_nonce(self.job, worker.provider, self.stage.now)
        roles = Role(3)
        digest = signing.hash_job_join(
            self.stage.deployment.board_domain,
            self.job,
            worker.provider,
            roles,
            Wei(stake),
            nonce,
            FOREVER,
        )
        message = {
            "kind": "join",
            "job": self.job,
            "provider": worker.provider,
            "roles": int(roles),
            "stake": stake,
            "deadline": FOREVER,
            "signature": text(worker.sign(digest)),
        }
        return message | changes

    def members(self) -> dict[int, Worker]:
        by_provider = {worker.provider: worker for worker in self.workers}
        members = self.stage.reader.fetch_members(self.job, self.stage.now)
        return {member.member: by_provider[member.provider] for member in members}

    def commit(self, round_: int, member: int, worker: Worker) -> Json:
        commitment = self.stage.commitment(self.job, round_, member)
        signature = worker.sign(self.stage.hash_commitment(self.job, round_, commitment))
        slot = {"job": self.job, "round": round_, "member": member}
        sealed = {"commitment": text(commitment), "signature": text(signature)}
        return {"kind": "update-commitment", **slot, **sealed}

    def reveal(self, round_: int, member: int) -> Json:
        slot = {"job": self.job, "round": round_, "member": member}
        opening = {
            "digest": text(self.stage.digest(self.job, round_, member)),
            "salt": text(self.stage.salt(self.job, round_, member)),
        }
        return {"kind": "update-reveal", **slot, **opening}

    def commit_ballot(
        self, round_: int, seat: int, member: int, worker: Worker, scores: Sequence[int]
    ) -> Json:
        deployment = self.stage.deployment
        commitment = compute_ballot_commitment(
            deployment.chain_id,
            deployment["Rounds"],
            self.job,
            round_,
            member,
            pack_scores(scores),
            self.stage.salt(self.job, round_, member),
        )
        digest = signing.hash_ballot_commitment(
            deployment.rounds_domain, self.job, round_, commitment
        )
        slot = {"job": self.job, "round": round_, "seat": seat}
        sealed = {"commitment": text(commitment), "signature": text(worker.sign(digest))}
        return {"kind": "ballot-commitment", **slot, **sealed}

    def reveal_ballot(self, round_: int, seat: int, member: int, scores: Sequence[int]) -> Json:
        slot = {"job": self.job, "round": round_, "seat": seat}
        salt = text(self.stage.salt(self.job, round_, member))
        return {"kind": "ballot-reveal", **slot, "scores": list(scores), "salt": salt}

    def attest(self, round_: int, seat: int, worker: Worker, model: bytes) -> Json:
        digest = signing.hash_model_attestation(
            self.stage.deployment.rounds_domain, self.job, round_, model
        )
        slot = {"job": self.job, "round": round_, "seat": seat}
        signed = {"model_digest": text(model), "signature": text(worker.sign(digest))}
        return {"kind": "model-attestation", **slot, **signed}


def recruit(stage: Stage, coordinator: Coordinator, workers: list[Worker]) -> Troupe:
    """A job whose four members joined through the coordinator."""
    later = stage.reader.fetch_head().timestamp + 3_600
    job = stage.create_job(stage.account(), recruit_until=later)
    troupe = Troupe(stage, job, workers)
    ids = [coordinator.accept(troupe.join(worker))[0] for worker in troupe.workers]
    coordinator.wait_mined(ids)
    return troupe


def play_round(coordinator: Coordinator, troupe: Troupe, round_: int, model: bytes) -> None:
    """Everybody honest, from COMMIT to the model, by posted messages alone."""
    job, members = troupe.job, troupe.members()
    coordinator.wait_phase(job, round_, "commit")
    commits = [troupe.commit(round_, member, worker) for member, worker in members.items()]
    coordinator.wait_mined(coordinator.accept(commits))
    coordinator.wait_phase(job, round_, "reveal")
    coordinator.wait_mined(coordinator.accept([troupe.reveal(round_, m) for m in members]))
    shown = coordinator.wait_phase(job, round_, "ballot-commit")
    seats = dict(enumerate(shown["committee"]))
    scores = [100 + member for member in sorted(members)]
    ballots = [
        troupe.commit_ballot(round_, seat, member, members[member], scores)
        for seat, member in seats.items()
    ]
    coordinator.wait_mined(coordinator.accept(ballots))
    coordinator.wait_phase(job, round_, "ballot-reveal")
    openings = [troupe.reveal_ballot(round_, seat, m, scores) for seat, m in seats.items()]
    coordinator.wait_mined(coordinator.accept(openings))
    coordinator.wait_phase(job, round_, "attest")
    attestations = [troupe.attest(round_, seat, members[m], model) for seat, m in seats.items()]
    coordinator.wait_mined(coordinator.accept(attestations))


def make_offer(stage: Stage, requester: LocalAccount, escrow: int) -> Json:
    later = stage.reader.fetch_head().timestamp + 3_600
    parameters = replace(TERMS, recruit_until=later)
    nonce = 2**200 + 7
    digest = signing.hash_job_offer(
        stage.deployment.board_domain,
        Address(requester.address),
        signing.compute_parameters_hash(parameters),
        Wei(escrow),
        nonce,
        later,
    )
    shown = {
        name: text(value) if isinstance(value, bytes) else value
        for name, value in asdict(parameters).items()
    }
    return {
        "requester": requester.address,
        "parameters": shown,
        "escrow": escrow,
        "nonce": nonce,
        "deadline": later,
        "signature": text(signing.sign_compact(bytes(requester.key), digest)),
    }
