"""What is due in a case, at each side of every bound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commonweal.protocol.appeals import (
    AppealStep,
    Case,
    NotAppealable,
    Stage,
    build_settlement,
    due_step,
)
from commonweal.protocol.types import Address, Wei

NOBODY = Address("0x" + "00" * 20)
CASE = Case(
    job=1,
    round=2,
    slash=0,
    member=0,
    stage=Stage.DRAWING,
    level=1,
    first_overturned=False,
    overturned=False,
    ends_at=5_000,
    seed_block=100,
    bond=Wei(10),
    first=NOBODY,
    second=NOBODY,
    committee=0,
    reveals=3,
    committed=0,
    revealed=0,
    overturning=0,
)


@pytest.mark.parametrize(
    ("now", "block", "step"),
    [
        (0, 99, None),
        (0, 100, AppealStep.DRAW),
        (4_999, 355, AppealStep.DRAW),
        (0, 356, AppealStep.ADVANCE),  # the next block no longer sees the seed block's hash
        (5_000, 99, AppealStep.ADVANCE),
    ],
)
def test_a_jury_is_drawn_while_its_seed_can_be_had(
    now: int, block: int, step: AppealStep | None
) -> None:
    assert due_step(CASE, now=now, block_number=block) is step


@pytest.mark.parametrize("stage", [Stage.COMMIT, Stage.REVEAL, Stage.DECIDED])
def test_a_stage_ends_at_its_second(stage: Stage) -> None:
    case = replace(CASE, stage=stage)
    assert due_step(case, now=4_999, block_number=10**6) is None
    assert due_step(case, now=5_000, block_number=0) is AppealStep.ADVANCE


def test_nothing_is_due_in_a_closed_case() -> None:
    assert due_step(replace(CASE, stage=Stage.CLOSED), now=10**9, block_number=10**9) is None


def test_a_round_that_was_not_finalised_is_not_appealed() -> None:
    with pytest.raises(NotAppealable) as refused:
        build_settlement([], 1, 2)
    assert refused.value.details == {"job": 1, "round": 2}
