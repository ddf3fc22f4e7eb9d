"""What is signed for JobBoard, hashed by Python and by the contract itself.

Signed by a stranger, each is refused with the address that the contract recovered: the stranger's,
if and only if both hashed the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from random import Random

import pytest
from contracts_stage import Stage
from eth_account import Account
from test_differential import CASES, SEED

from commonweal.adapters.chain import ContractReverted
from commonweal.protocol import signing
from commonweal.protocol.types import Address, Bps, Digest, JobParameters, Role, Wei

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]

Made = tuple[bytes, Callable[[bytes], tuple[object, ...]]]  # digest, arguments for a signature
_NO_PERMIT = (0, 0, 0, bytes(32), bytes(32))


@pytest.fixture(scope="module")
def job(stage: Stage) -> int:
    requester = stage.account()
    return stage.create_job(requester, recruit_until=stage.reader.fetch_head().timestamp + 86_400)


@pytest.fixture(scope="module")
def members(stage: Stage, job: int) -> list[Address]:
    workers = [stage.worker() for _ in range(3)]
    for worker in workers:
        stage.join(job, worker)
    return [worker.provider for worker in workers]


def test_joins(stage: Stage, job: int) -> None:
    def make(chance: Random) -> Made:
        details = job, _address(chance), Role(chance.randrange(4)), Wei(_number(chance))
        deadline = _deadline(chance)
        digest = signing.hash_job_join(stage.deployment.board_domain, *details, 0, deadline)
        _, provider, roles, stake = details
        return digest, lambda signature: (job, provider, int(roles), stake, deadline, (), signature)

    _assert_recovered(stage, "joinJob", make)


def test_leaves(stage: Stage, job: int, members: list[Address]) -> None:
    def make(chance: Random) -> Made:
        provider, deadline = chance.choice(members), _deadline(chance)
        domain = stage.deployment.board_domain
        digest = signing.hash_job_leave(domain, job, provider, 1, deadline)
        return digest, lambda signature: (job, provider, deadline, signature)

    _assert_recovered(stage, "leaveJob", make)


def test_offers(stage: Stage) -> None:
    def make(chance: Random) -> Made:
        parameters, requester = _parameters(chance), _address(chance)
        numbers = Wei(_number(chance)), _number(chance), _deadline(chance)
        hashed = signing.compute_parameters_hash(parameters)
        digest = signing.hash_job_offer(stage.deployment.board_domain, requester, hashed, *numbers)
        offer = (requester, astuple(parameters), *numbers)
        return digest, lambda signature: (*offer, signature, _NO_PERMIT)

    _assert_recovered(stage, "createJobFor", make)


def _assert_recovered(
    stage: Stage,
    function: str,
    make: Callable[[Random], Made],
) -> None:
    chance, now = Random(f"{SEED} {function}"), stage.now
    for _ in range(CASES):
        key = chance.randbytes(32)
        digest, arguments = make(chance)
        args = arguments(signing.sign_compact(key, digest))
        with pytest.raises(ContractReverted) as raised:
            stage.reader.call("JobBoard", function, *args, at=now)
        assert raised.value.name == "SignatureWrong"
        assert raised.value.arguments["recovered"] == Account.from_key(key).address, args


def _parameters(chance: Random) -> JobParameters:
    """Whatever fits the fields: nothing looks at it before the signature."""

    def number(bits: int) -> int:
        return chance.choice((0, 2**bits - 1, chance.randrange(2**bits)))

    return JobParameters(
        spec_digest=Digest(chance.randbytes(32)),
        initial_model=Digest(chance.randbytes(32)),
        rounds=number(32),
        price_per_round=Wei(number(128)),
        validator_share_bps=Bps(number(16)),
        coordinator_share_bps=Bps(number(16)),
        coordinator=_address(chance),
        min_trainers=number(16),
        max_trainers=number(16),
        committee_size=number(8),
        min_stake=Wei(number(128)),
        commit_window=number(32),
        reveal_window=number(32),
        ballot_commit_window=number(32),
        ballot_reveal_window=number(32),
        attest_window=number(32),
        recruit_until=number(64),
        max_failed_rounds=number(16),
        allowlist_root=Digest(chance.randbytes(32)),
    )


def _address(chance: Random) -> Address:
    return Address(Account.from_key(chance.randbytes(32)).address)


def _number(chance: Random) -> int:
    return chance.choice((0, 1, 2**256 - 1, chance.randrange(2**256)))


def _deadline(chance: Random) -> int:
    return chance.choice((2**40, 2**256 - 1, chance.randrange(2**40, 2**256)))
