"""Reads what verification needs from a chain, and where the job's providers serve content."""

from __future__ import annotations

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentStore
from commonweal.adapters.http import is_endpoint
from commonweal.errors import NotFound
from commonweal.learning.weights import DEFAULT_MAX_MODEL_BYTES
from commonweal.protocol.events import (
    CommitteeDrawn,
    ProviderAnnounced,
    RoundFinalised,
    SeedBlockFixed,
)
from commonweal.verification.evidence import Evidence
from commonweal.verification.report import Report
from commonweal.verification.verify import verify


class JobUnknown(NotFound):
    code = "job-unknown"


def require_job(reader: ChainReader, job: int) -> None:
    """Raises JobUnknown if the chain has no such job."""
    count = reader.fetch_job_count(reader.fetch_head().number)
    if not 1 <= job <= count:
        raise JobUnknown(f"there is no job {job}: the chain has {count}", job=job, jobs=count)


def collect(reader: ChainReader, job: int, *, at: int) -> Evidence:
    """Everything as of block `at`. Raises what the reader raises for an unknown job."""
    deployment = reader.deployment
    state = reader.fetch_job(job, at)
    events = tuple(reader.fetch_events(deployment.deployed_block, at, job))
    rounds = [each.round for each in events if isinstance(each, RoundFinalised)]
    return Evidence(
        chain_id=deployment.chain_id,
        rounds_contract=deployment["Rounds"],
        block=at,
        events=events,
        randaos=_fetch_randaos(reader, events),
        job=state,
        members=reader.fetch_members(job, at),
        models={round_: reader.fetch_model(job, round_, at) for round_ in rounds},
        verdict_roots={round_: reader.fetch_verdict_root(job, round_, at) for round_ in rounds},
        overturned=frozenset(r for r in rounds if reader.is_overturned(job, r, at)),
        fee_grace=reader.fetch_parameters(state.parameters_version, at).fee_grace,
    )


def _fetch_randaos(reader: ChainReader, events: tuple[object, ...]) -> dict[int, bytes]:
    drawn = {each.round for each in events if isinstance(each, CommitteeDrawn)}
    blocks = {
        each.seed_block
        for each in events
        if isinstance(each, SeedBlockFixed) and each.round in drawn
    }
    return {block: reader.fetch_randao(block) for block in sorted(blocks)}


def fetch_sources(reader: ChainReader, job: int) -> list[str]:
    """The addresses that the job's members last announced on chain, as far as they are any."""
    head = reader.fetch_head().number
    members = {member.provider for member in reader.fetch_members(job, head)}
    endpoints: dict[str, str] = {}
    for event in reader.fetch_events(reader.deployment.deployed_block, head):
        if isinstance(event, ProviderAnnounced) and event.provider in members:
            endpoints[event.provider] = event.endpoint
    return list(dict.fromkeys(url for url in endpoints.values() if is_endpoint(url)))


def verify_job(
    reader: ChainReader,
    job: int,
    store: ContentStore,
    sources: list[str],
    *,
    max_model_bytes: int = DEFAULT_MAX_MODEL_BYTES,
) -> Report:
    """Verify as of the present head, content from `store` first, then from `sources`."""
    evidence = collect(reader, job, at=reader.fetch_head().number)
    fetcher = ContentFetcher(store, lambda: sources, attempts=1)
    return verify(evidence, fetcher, max_model_bytes=max_model_bytes)
