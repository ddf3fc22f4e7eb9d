"""What `weal dev` offers to submit fits the network that it started."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.devnet.dev import adapt_job, describe_job
from commonweal.jobfile import parse_job_file

EXAMPLE = (Path(__file__).resolve().parents[3] / "examples" / "digits.yaml").read_text()


@pytest.mark.parametrize(
    ("agents", "committee"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (50, 5)]
)
def test_job_asks_for_exactly_the_agents_there_are(agents: int, committee: int) -> None:
    terms = parse_job_file(adapt_job(EXAMPLE, agents).encode()).terms
    assert (terms.min_trainers, terms.max_trainers) == (agents, agents)
    assert terms.committee_size == committee


def test_nothing_else_of_the_example_changes() -> None:
    adapted, original = (
        parse_job_file(adapt_job(EXAMPLE, 3).encode()),
        parse_job_file(EXAMPLE.encode()),
    )
    assert adapted.spec == original.spec
    changed = {"min_trainers", "max_trainers", "committee_size"}
    assert adapted.terms.model_dump(exclude=changed) == original.terms.model_dump(exclude=changed)


def test_example_recruits_for_two_minutes() -> None:
    assert parse_job_file(EXAMPLE.encode()).terms.recruit_for == 120


@pytest.mark.parametrize(
    ("agents", "text"), [(0, "no agents here"), (2, "2 of at least 3 agents"), (3, "all 3 agents")]
)
def test_hint_names_the_file_and_says_what_will_happen(agents: int, text: str) -> None:
    submit, watch = describe_job(Path("/net/job.yaml"), agents)
    assert submit.startswith("weal job submit /net/job.yaml ")
    assert text in submit
    assert watch == "weal job watch 1"
