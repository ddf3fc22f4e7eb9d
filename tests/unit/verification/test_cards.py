"""A model's card says what the chain says, and what strangers wrote stays words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from honest_job import SPEC, HonestJob, make_honest_job

from commonweal.adapters.content.store import ContentNotFound
from commonweal.protocol import events as ev
from commonweal.protocol.manifests import Manifest, UpdateManifest, manifest_cid
from commonweal.protocol.types import Address, Digest, Verdict
from commonweal.rendering import escape_markdown, format_tokens
from commonweal.verification.cards import ModelFacts, gather_facts, render_card

WEIGHTS = b"not read here"
CONTRACTS = {"Rounds": Address("0x" + "0c" * 20)}


@pytest.fixture(scope="module")
def job() -> HonestJob:
    return make_honest_job()


def gather_of(
    job: HonestJob,
    fetch: Callable[[Digest], Manifest] | None = None,
    round_: int = 0,
    **changes: Any,
) -> ModelFacts:
    """Facts of the latest model, if not of another round's."""
    evidence = job.evidence()
    last = max(e.round for e in evidence.events if isinstance(e, ev.RoundFinalised))
    known = {
        "job": evidence.job, "spec": SPEC, "round_": round_ or last, "weights": WEIGHTS,
        "chain_id": evidence.chain_id, "contracts": CONTRACTS, "block": evidence.block,
        "is_overturned": False,
    }  # fmt: skip
    return gather_facts(evidence.events, fetch or job.content.fetch_manifest, **(known | changes))


def finals(job: HonestJob) -> list[ev.RoundFinalised]:
    return [e for e in job.evidence().events if isinstance(e, ev.RoundFinalised)]


def test_lineage_verdicts_and_roots_are_the_chains(job: HonestJob) -> None:
    facts, rounds = gather_of(job), finals(job)
    assert [each.round for each in facts.rounds] == [each.round for each in rounds]
    assert [each.model for each in facts.rounds] == [manifest_cid(e.model_digest) for e in rounds]
    assert [each.verdict_root for each in facts.rounds] == [
        "0x" + e.verdict_root.hex() for e in rounds
    ]
    assert facts.rounds[0].parent == facts.initial_model
    assert facts.rounds[1].parent == facts.rounds[0].model
    assert facts.failed_rounds == 1
    assert facts.rounds[0].verdicts[Verdict.VERIFIED] == 3
    assert facts.rounds[0].verdicts[Verdict.REJECTED] == 1
    assert facts.weights_sha256 == sha256(WEIGHTS).hexdigest()


def test_an_earlier_model_knows_nothing_of_later_rounds(job: HonestJob) -> None:
    facts = gather_of(job, round_=finals(job)[0].round)
    assert len(facts.rounds) == 1
    assert sum(each.rounds for each in facts.contributors) == 3
    assert facts.model.model in render_card(facts)
    assert manifest_cid(finals(job)[1].model_digest) not in render_card(facts)


def test_contributors_are_paid_what_the_chain_credited(job: HonestJob) -> None:
    facts, evidence = gather_of(job), job.evidence()
    earned = {member.provider: int(member.credit) for member in evidence.members}
    for event in evidence.events:
        if isinstance(event, ev.RewardClaimed):
            earned[event.provider] += event.amount
    assert {each.provider: each.paid for each in facts.contributors} == {
        provider: amount for provider, amount in earned.items() if amount
    }
    assert [each.paid for each in facts.contributors] == sorted(
        (each.paid for each in facts.contributors), reverse=True
    )


def test_the_curve_is_the_median_of_what_verified_trainers_claim(job: HonestJob) -> None:
    facts = gather_of(job)
    rounds = [each.round for each in finals(job)]
    assert facts.curves["loss"] == {round_: 1 / round_ for round_ in rounds}
    card = render_card(facts)
    assert "Nobody checked these figures" in card
    assert card.count("```text") == 2


def test_what_one_trainer_alone_names_is_passed_over(job: HonestJob) -> None:
    asked = []

    def fetch(digest: Digest) -> Manifest:
        manifest = job.content.fetch_manifest(digest)
        assert isinstance(manifest, UpdateManifest)
        asked.append(digest)
        more = {"best-model-ever": 1.0} if len(asked) % 3 == 1 else {}
        return manifest.model_copy(update={"metrics": manifest.metrics | more})

    assert set(gather_of(job, fetch).curves) == {"accuracy", "loss"}


def test_without_manifests_it_says_so_and_soon_stops_asking(job: HonestJob) -> None:
    asked = []

    def fetch(digest: Digest) -> Manifest:
        asked.append(digest)
        raise ContentNotFound("away")

    facts = gather_of(job, fetch)
    assert (facts.curves, len(asked)) == ({}, 5)
    assert "No trainer's claims were to be had" in render_card(facts)


def test_a_model_that_an_appeal_overturned_is_not_recommended(job: HonestJob) -> None:
    assert "Do not use this model" in render_card(gather_of(job, is_overturned=True))
    assert "Do not use" not in render_card(gather_of(job))


def test_a_requesters_words_make_no_markup(job: HonestJob) -> None:
    name = "x\n# Trust me <script>a</script> | [free](http://evil) `b`"
    card = render_card(gather_of(job, spec=SPEC.model_copy(update={"name": name})))
    assert "<script>" not in card.replace("\\<", "")
    (heading,) = re.findall(r"^# .*", card, re.MULTILINE)
    assert re.sub(r"\\(.)", r"\1", heading) == "# " + " ".join(name.split())
    assert escape_markdown("a_b|c") == r"a\_b\|c"


def test_every_table_row_has_as_many_cells_as_its_head(job: HonestJob) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", render_card(gather_of(job)), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_tokens_are_exact() -> None:
    amounts: list[Any] = [0, 1, 10**18, 1_234 * 10**18 + 5 * 10**17]
    assert [format_tokens(each) for each in amounts] == [
        "0", "0.000000000000000001", "1", "1,234.5",
    ]  # fmt: skip


def test_rounds_are_spaced_when_there_are_many() -> None:
    from commonweal.verification.cards import _space

    rounds: Any = list(range(500))
    assert len(_space(rounds)) <= 60
    assert _space(rounds)[0] == 499
    assert list(_space(rounds[:3])) == [2, 1, 0]


def test_the_card_says_which_samples_all_learned_from(job: HonestJob) -> None:
    facts = gather_of(job)
    assert "validation set" not in render_card(facts)
    shared = facts.spec.data.model_copy(update={"validation": "a CID", "share_validation": True})
    spec = facts.spec.model_copy(update={"data": shared})
    line = "| validation set | `a CID`, which trainers learned from too |\n| requester"
    assert line in render_card(replace(facts, spec=spec))
