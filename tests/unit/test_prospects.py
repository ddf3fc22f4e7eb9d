from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commonweal import answers
from commonweal.jobfile import load_job_file
from commonweal.prospects import compute_usual_round, could_join, find_prospects

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.yaml"
TERMS = load_job_file(EXAMPLE).terms
NOW = 1_000.0


def make_provider(number: int, **changes: Any) -> answers.Provider:
    fields = {
        "provider": f"0x{number:040X}",
        "operator": f"0x{number + 100:040x}",
        "roles": ["trainer", "validator"],
        "endpoint": "",
        "capabilities": None,
        "free": str(TERMS.min_stake),
        "locked": "0",
        "unbonding": "0",
        "withdrawable_at": 0,
        "missed_duties": 0,
        "jailed_until": 0,
        "slashed": "0",
        "registered_at": 0,
    }
    return answers.Provider.model_validate(fields | changes)


def make_round(number: int, seconds: int | None, state: str = "finalised") -> answers.Round:
    fields: dict[str, Any] = dict.fromkeys(answers.Round.model_fields)
    fields |= {
        "job": 1,
        "round": number,
        "state": state,
        "phase": "none",
        "ends_at": 0,
        "parent_model": "bafy",
        "committee": [],
        "spent": "0",
        "fee": "0",
        "unrevealed": [],
        "absent": [],
        "opened_at": 100,
        "closed_at": None if seconds is None else 100 + seconds,
        "final": True,
    }
    return answers.Round.model_validate(fields)


@pytest.mark.parametrize(
    ("changes", "could"),
    [
        ({}, True),
        ({"free": str(TERMS.min_stake - 1)}, False),
        ({"jailed_until": 1_001}, False),
        ({"jailed_until": 1_000}, True),
    ],
)
def test_who_is_free_could_join(changes: dict[str, Any], could: bool) -> None:
    assert could_join(make_provider(1, **changes), TERMS, NOW) is could


def test_a_closed_job_admits_those_on_its_list() -> None:
    closed = TERMS.model_copy(update={"allowlist": (f"0x{10:040x}",)})
    assert could_join(make_provider(10), closed, NOW)
    assert not could_join(make_provider(11), closed, NOW)


def test_the_usual_round_is_the_median_of_those_that_got_to_a_model() -> None:
    rounds = [make_round(1, 10), make_round(2, 14), make_round(3, 900)]
    others = [make_round(4, 5, "failed"), make_round(5, None, "open")]
    assert compute_usual_round(rounds + others) == 14
    assert compute_usual_round(others) is None


class Network:
    """Three providers on two pages, one of which only judges, and one finished job."""

    def providers(self, cursor: str | None) -> answers.Page[answers.Provider]:
        if cursor is None:
            return answers.Page(items=[make_provider(1), make_provider(2)], next="more")
        assert cursor == "more"
        return answers.Page(items=[make_provider(3, roles=["validator"])])

    def jobs(self) -> Any:
        return answers.Page[Any](items=[type("Job", (), {"job": 1})])

    def rounds(self, job: int) -> Any:
        return answers.Page[answers.Round](items=[make_round(1, 12)])


def test_the_outlook_counts_by_role_and_multiplies_by_rounds() -> None:
    client: Any = Network()
    found = find_prospects(client, TERMS)
    assert (found.trainers, found.validators) == (2, 3)
    assert (found.usual_round, found.usual_job) == (12, 12 * TERMS.rounds)
