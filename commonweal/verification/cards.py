"""A model's card: where it came from, who made it, how it did, and how to check all that.

Facts are the chain's events, at one block; loss and accuracy are what trainers claim in their
manifests, and are kept apart from them. Nothing here asks a coordinator.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import median

from commonweal.charts import draw_curve
from commonweal.errors import CommonwealError
from commonweal.learning.weights import parameter_count, shapes_of
from commonweal.protocol.batches import opened_entries
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.events import ChainEvent
from commonweal.protocol.manifests import Manifest, UpdateManifest, manifest_cid
from commonweal.protocol.rewards import unpack_payments
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, Digest, Job, Verdict, Wei
from commonweal.rendering import render
from commonweal.verification.evidence import JobRecord, RoundRecord, gather

FetchManifest = Callable[[Digest], Manifest]
_MOST_ROUNDS = 60  # whose claims are looked up, evenly spaced
_MOST_UPDATES = 16  # per round
_MOST_MISSES = 5  # then whoever serves the manifests is taken to be away
_CHART = (72, 12)  # characters


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """`model`, `parent`: CIDs. `metrics`: medians of what its verified trainers claim."""

    round: int
    model: str
    parent: str
    verdict_root: str
    transaction: str
    verdicts: Mapping[Verdict, int]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Contributor:
    """`paid`: as trainer and judge, in the rounds up to the model's."""

    provider: Address
    rounds: int  # with a verified update
    scores: int  # their sum
    paid: Wei


@dataclass(frozen=True, slots=True)
class ModelFacts:
    job: Job
    spec: JobSpec
    chain_id: int
    contracts: Mapping[str, Address]
    block: int
    rounds: tuple[RoundFacts, ...]  # that became final, up to the model's own, which is the last
    failed_rounds: int
    contributors: tuple[Contributor, ...]  # most paid first
    is_overturned: bool
    weights_sha256: str
    weights_bytes: int

    @property
    def model(self) -> RoundFacts:
        return self.rounds[-1]

    @property
    def initial_model(self) -> str:
        return manifest_cid(self.job.parameters.initial_model)

    @property
    def specification(self) -> str:
        return manifest_cid(self.job.parameters.spec_digest)

    @property
    def parameters(self) -> int:
        return parameter_count(shapes_of(self.spec.model))

    @property
    def curves(self) -> dict[str, dict[int, float]]:
        """By metric, medians by round."""
        curves: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for each in self.rounds:
            for name, value in each.metrics.items():
                curves[name][each.round] = value
        return dict(sorted(curves.items()))


def gather_facts(
    events: Sequence[ChainEvent],
    fetch_manifest: FetchManifest,
    *,
    job: Job,
    spec: JobSpec,
    round_: int,
    weights: bytes,
    chain_id: int,
    contracts: Mapping[str, Address],
    block: int,
    is_overturned: bool,
) -> ModelFacts:
    """`events`: the job's, in chain order; `round_`: a final one, whose model `weights` are."""
    record = gather(events)
    past = [each for number, each in sorted(record.rounds.items()) if number <= round_]
    final = [each for each in past if each.finalised is not None]
    claims = _Claims(fetch_manifest, wanted={each.round for each in _space(final)})
    return ModelFacts(
        job=job,
        spec=spec,
        chain_id=chain_id,
        contracts=contracts,
        block=block,
        rounds=tuple(_describe_round(each, claims) for each in final),
        failed_rounds=sum(each.failed is not None for each in past),
        contributors=_list_contributors(record, past, job.quantum),
        is_overturned=is_overturned,
        weights_sha256=sha256(weights).hexdigest(),
        weights_bytes=len(weights),
    )


def render_card(facts: ModelFacts) -> str:
    """Markdown."""
    return render("model-card.md", facts=facts, charts=dict(_draw_charts(facts)), Verdict=Verdict)


def _draw_charts(facts: ModelFacts) -> Iterator[tuple[str, str]]:
    width, height = _CHART
    for name, points in facts.curves.items():
        if len(points) > 1:
            top = 1.0 if name == "accuracy" else max(*points.values(), 1e-9)
            yield name, draw_curve(points, width=width, height=height, top=top)


def _describe_round(round_: RoundRecord, claims: _Claims) -> RoundFacts:
    assert round_.finalised is not None
    assert round_.opened is not None
    scores = _scores(round_)
    verdicts = [Verdict.of(score) for _, score in scores.values()]
    verified = [d for d, score in scores.values() if Verdict.of(score) is Verdict.VERIFIED]
    return RoundFacts(
        round=round_.round,
        model=manifest_cid(round_.finalised.model_digest),
        parent=manifest_cid(round_.opened.parent_model),
        verdict_root="0x" + round_.finalised.verdict_root.hex(),
        transaction="0x" + round_.finalised.ref.tx_hash.hex(),
        verdicts={verdict: verdicts.count(verdict) for verdict in Verdict},
        metrics=claims.summarise(round_.round, verified),
    )


def _scores(round_: RoundRecord) -> dict[int, tuple[Digest, int]]:
    """The update and the score of each member that revealed; none before the tally."""
    opened = [entry for reveal in round_.reveals for entry in opened_entries(reveal)]
    digests = {member: Digest(digest) for member, digest in opened}
    if round_.tallied is None:
        return {}
    pairs = zip(sorted(digests), unpack_scores(round_.tallied.scores), strict=True)
    return {member: (digests[member], score) for member, score in pairs}


def _list_contributors(
    record: JobRecord, rounds: Sequence[RoundRecord], quantum: Wei
) -> tuple[Contributor, ...]:
    """Whoever was paid or had an update verified; a provider once, however often it joined."""
    verified: defaultdict[Address, list[int]] = defaultdict(list)
    paid: defaultdict[Address, int] = defaultdict(int)
    for round_ in rounds:
        for member, (_, score) in _scores(round_).items():
            if round_.finalised and Verdict.of(score) is Verdict.VERIFIED:
                verified[record.providers[member]].append(score)
        if round_.settled is not None:
            for member, units in unpack_payments(round_.settled.payments):
                paid[record.providers[member]] += units * quantum
    found = (
        Contributor(each, len(verified[each]), sum(verified[each]), Wei(paid[each]))
        for each in verified.keys() | paid.keys()
    )
    return tuple(sorted(found, key=lambda each: (-each.paid, each.provider)))


class _Claims:
    """Asks for the manifests of the wanted rounds, until too many did not come."""

    def __init__(self, fetch_manifest: FetchManifest, wanted: set[int]) -> None:
        self._fetch, self._wanted = fetch_manifest, wanted
        self._misses = 0

    def summarise(self, round_: int, digests: Sequence[Digest]) -> dict[str, float]:
        """Medians. What few trainers name is passed over: the card is not theirs to fill."""
        if round_ not in self._wanted:
            return {}
        found = [metrics for each in digests[:_MOST_UPDATES] if (metrics := self._read(each))]
        counts = Counter(name for metrics in found for name in metrics)
        common = sorted(name for name, count in counts.items() if 2 * count > len(found))
        return {name: median(m[name] for m in found if name in m) for name in common}

    def _read(self, digest: Digest) -> Mapping[str, float]:
        if self._misses >= _MOST_MISSES:
            return {}
        try:
            manifest = self._fetch(digest)
        except CommonwealError:
            self._misses += 1
            return {}
        return manifest.metrics if isinstance(manifest, UpdateManifest) else {}


def _space(rounds: Sequence[RoundRecord]) -> Sequence[RoundRecord]:
    """At most so many, evenly spaced, the last among them."""
    step = -(-len(rounds) // _MOST_ROUNDS) or 1
    return rounds[::-1][::step]
