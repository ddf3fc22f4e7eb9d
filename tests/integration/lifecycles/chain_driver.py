"""A local node whose clock stands still between transactions, and everybody's keys.

Senders are the node's own accounts, so that nothing here remembers a nonce and the chain can be
put back to a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from contracts_stage import Stage
from eth_account import Account
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from round_model import Tick
from web3.types import RPCEndpoint

from commonweal.adapters.rpc import HttpProvider
from commonweal.protocol import signing
from commonweal.protocol.commitments import (
    SALT_BYTES,
    compute_ballot_commitment,
    compute_update_commitment,
    compute_vote_commitment,
    pack_entries,
    pack_members,
    pack_scores,
    pack_seats,
)
from commonweal.protocol.types import Address, Role, Score, Wei

FOREVER = 2**40
_GAS = 8_000_000


class ChainDriver:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.reader = stage.reader
        self.accounts = [Address(str(name)) for name in stage.reader.web3.eth.accounts]
        self._rpc("evm_setIntervalMining", 0)
        self._look()

    def close(self) -> None:
        provider = self.reader.web3.provider
        assert isinstance(provider, HttpProvider)
        provider.close()

    def snapshot(self) -> str:
        return str(self._rpc("evm_snapshot"))

    def restore(self, snapshot: str) -> None:
        assert self._rpc("evm_revert", snapshot)
        self._look()

    def tick(self, sender: Address) -> Tick:
        """Of the block in which the next transaction will be."""
        return Tick(self.now + 1, self.block + 1, sender, self.reader.fetch_randao)

    def travel(self, seconds: int) -> None:
        self.now += seconds

    def mine(self) -> None:
        self._rpc("evm_setNextBlockTimestamp", self.now + 1)
        self._rpc("evm_mine")
        self._look()

    def send(self, sender: Address, contract: str, function: str, *args: object) -> None:
        """Raises ContractReverted."""
        to, data = self.reader.encode(contract, function, *args)
        self._rpc("evm_setNextBlockTimestamp", self.now + 1)
        transaction: Any = {"from": sender, "to": to, "data": HexBytes(data), "gas": _GAS}
        try:
            self.reader.ask(lambda: self.reader.web3.eth.send_transaction(transaction))
        finally:
            self._look()

    def _look(self) -> None:
        head = self.reader.fetch_head()
        self.now, self.block = head.timestamp, head.number

    def _rpc(self, method: str, *params: object) -> Any:
        answer = self.reader.web3.provider.make_request(RPCEndpoint(method), list(params))
        assert "error" not in answer, answer
        return answer["result"]


class Papers:
    """What is signed and opened: the same for the same (job, round, member) every time."""

    def __init__(self, stage: Stage, owners: Sequence[Address]) -> None:
        self._deployment = stage.deployment
        self._keys = {owner: keccak(text=f"operator {at}") for at, owner in enumerate(owners)}

    def operator(self, owner: str) -> str:
        return str(Account.from_key(self._keys[Address(owner)]).address)

    def join(self, job: int, owner: Address, roles: Role, stake: int, nonce: int) -> list[object]:
        domain = self._deployment.board_domain
        digest = signing.hash_job_join(domain, job, owner, roles, Wei(stake), nonce, FOREVER)
        return [job, owner, int(roles), stake, FOREVER, [], self._sign(owner, digest)]

    def leave(self, job: int, owner: Address, nonce: int) -> list[object]:
        digest = signing.hash_job_leave(self._deployment.board_domain, job, owner, nonce, FOREVER)
        return [job, owner, FOREVER, self._sign(owner, digest)]

    def commit(self, job: int, round_: int, members: dict[int, str]) -> list[object]:
        """`members`: their owners."""
        domain, words, signatures = self._deployment.rounds_domain, [], []
        for member, owner in members.items():
            words.append(self.commitment(job, round_, member))
            digest = signing.hash_update_commitment(domain, job, round_, words[-1])
            signatures.append(self._sign(owner, digest))
        return [job, round_, pack_members(members), words, b"".join(signatures)]

    def commitment(self, job: int, round_: int, member: int) -> bytes:
        opening = self.digest(job, round_, member), self._salt(job, round_, member)
        return compute_update_commitment(*self._slot(job, round_, member), *opening)

    def digest(self, job: int, round_: int, member: int) -> bytes:
        return keccak(text=f"update {job} {round_} {member}")

    def reveal(
        self, job: int, round_: int, batch: int, entries: list[int], chosen: set[int]
    ) -> list[object]:
        opened, parts = 0, []
        for at, member in enumerate(entries):
            if member in chosen:
                opened |= 1 << at
                parts += [self.digest(job, round_, member), self._salt(job, round_, member)]
            else:
                parts.append(self.commitment(job, round_, member))
        return [job, round_, batch, pack_members(entries), opened, b"".join(parts)]

    def records(self, job: int, round_: int, members: Iterable[int]) -> bytes:
        return pack_entries([(m, self.digest(job, round_, m)) for m in sorted(members)])

    def seal(
        self,
        job: int,
        round_: int,
        ballots: dict[int, list[Score]],
        seats: dict[int, tuple[int, str]],
    ) -> list[object]:
        """`seats`: (member, owner) by seat."""
        domain, words, signatures = self._deployment.rounds_domain, [], []
        for seat, scores in ballots.items():
            member, owner = seats[seat]
            opening = pack_scores(scores), self._salt(job, round_, member)
            words.append(compute_ballot_commitment(*self._slot(job, round_, member), *opening))
            digest = signing.hash_ballot_commitment(domain, job, round_, words[-1])
            signatures.append(self._sign(owner, digest))
        return [job, round_, pack_seats(ballots), words, b"".join(signatures)]

    def open(
        self,
        job: int,
        round_: int,
        ballots: dict[int, list[Score]],
        committee: Sequence[int],
        seals: Sequence[bytes],
    ) -> list[object]:
        packed = b"".join(pack_scores(scores) for scores in ballots.values())
        salts = b"".join(self._salt(job, round_, committee[seat]) for seat in ballots)
        return [job, round_, pack_seats(ballots), packed, salts, seals]

    def attest(self, job: int, round_: int, model: bytes, seats: dict[int, str]) -> list[object]:
        """`seats`: owners."""
        domain = self._deployment.rounds_domain
        digest = signing.hash_model_attestation(domain, job, round_, model)
        signatures = b"".join(self._sign(owner, digest) for owner in seats.values())
        return [job, round_, model, pack_seats(seats), signatures]

    def seal_votes(
        self, appeal: int, level: int, votes: dict[int, bool], jurors: dict[int, tuple[int, str]]
    ) -> list[object]:
        """`votes` by seat; `jurors`: (member, owner) by seat."""
        domain, words, signatures = self._deployment.appeals_domain, [], []
        for seat, overturn in votes.items():
            member, owner = jurors[seat]
            salt = self.vote_salt(appeal, level, seat)
            place = self._deployment.chain_id, self._deployment["Appeals"], appeal, level, member
            words.append(compute_vote_commitment(*place, overturn=overturn, salt=salt))
            digest = signing.hash_appeal_vote(domain, appeal, level, words[-1])
            signatures.append(self._sign(owner, digest))
        return [appeal, pack_seats(votes), words, b"".join(signatures)]

    def vote_salt(self, appeal: int, level: int, seat: int) -> bytes:
        return keccak(text=f"vote {appeal} {level} {seat}")[:SALT_BYTES]

    def contradiction(self, job: int, round_: int, owner: str) -> list[object]:
        """Two commitments for one slot: (word, signature) twice."""
        parts: list[object] = []
        for word in (keccak(text="one"), keccak(text="another")):
            domain = self._deployment.rounds_domain
            digest = signing.hash_update_commitment(domain, job, round_, word)
            parts += [word, self._sign(owner, digest)]
        return parts

    def _salt(self, job: int, round_: int, member: int) -> bytes:
        return keccak(text=f"salt {job} {round_} {member}")[:SALT_BYTES]

    def _slot(self, job: int, round_: int, member: int) -> tuple[int, Address, int, int, int]:
        return self._deployment.chain_id, self._deployment["Rounds"], job, round_, member

    def _sign(self, owner: str, digest: bytes) -> bytes:
        return signing.sign_compact(self._keys[Address(owner)], digest)
