"""Models by digest, the next model, training seeds, and what the cheats send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from agent_samples import ME, OTHERS

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentNotFound
from commonweal.learning.aggregation import GlobalModel, encode_moments
from commonweal.learning.data import Dataset, DigitsPart, DigitsSource, InvalidData, load_dataset
from commonweal.learning.footprint import estimate_judging
from commonweal.learning.weights import encode_weights, initial_weights
from commonweal.protocol.commitments import pack_scores
from commonweal.protocol.manifests import (
    ModelManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.merkle import compute_contributors, compute_verdict_leaf
from commonweal.protocol.specs import (
    AggregationSpec,
    DataSpec,
    JobSpec,
    LogisticModel,
    ServerOptimiserSpec,
)
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Digest
from commonweal.validation_sets import encode_validation_set, parse_validation_set
from node_agent.cheats import NoiseTrainer, SignFlipTrainer
from node_agent.errors import JobNotServed, ModelUnusable
from node_agent.localdata import LocalDataLibrary, require_consistent
from node_agent.models import (
    ModelLibrary,
    compute_next_model,
    verified_updates,
)
from node_agent.trainer import LocalTrainer, derive_seed

MODEL = LogisticModel(inputs=3, classes=2)
SPEC = JobSpec(name="small", model=MODEL, data=DataSpec(features=(3,), classes=2))
DIGITS = DataSpec(features=(64,), classes=10)
PARENT = Digest(b"\x02" * 32)
D0, D2, D5, D7 = (Digest(bytes([n]) * 32) for n in (0xA0, 0xA2, 0xA5, 0xA7))
TRAINERS = {0: OTHERS[2], 2: OTHERS[0], 5: OTHERS[1], 7: ME}
DIGESTS = {7: D7, 0: D0, 5: D5, 2: D2}


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "store")


@pytest.fixture
def library(store: EmbeddedStore) -> Iterator[ModelLibrary]:
    fetcher = ContentFetcher(store, list)
    yield ModelLibrary(store, fetcher)
    fetcher.close()


def test_verified_are_those_with_a_useful_score_members_ascending() -> None:
    scores = pack_scores([7, SCORE_INVALID, 0, 65_533])
    verified = verified_updates(DIGESTS, scores, TRAINERS)
    assert [(v.member, v.digest, v.score) for v in verified] == [(0, D0, 7), (7, D7, 65_533)]
    assert verified_updates(DIGESTS, pack_scores([0, 0, SCORE_UNAVAILABLE, 0]), TRAINERS) == ()


def test_next_model_is_the_same_whatever_the_order() -> None:
    verified = verified_updates(DIGESTS, pack_scores([7, 9, 1, 4]), TRAINERS)
    deltas = {member: initial_weights(MODEL, member + 1) for member in DIGESTS}
    parent = GlobalModel(initial_weights(MODEL, 0))
    one = compute_next_model(SPEC, parent, verified, deltas)
    two = compute_next_model(SPEC, parent, verified[::-1], dict(reversed(deltas.items())))
    assert encode_weights(one.weights) == encode_weights(two.weights)


def test_a_stored_model_is_found_again(store: EmbeddedStore, library: ModelLibrary) -> None:
    weights = initial_weights(MODEL, 3)
    verified = verified_updates(DIGESTS, pack_scores([7, 0, 0, 9]), TRAINERS)
    digest = library.store_model(SPEC, GlobalModel(weights), PARENT, 3, 4, verified)
    fetcher = ContentFetcher(store, list)
    found = ModelLibrary(store, fetcher).fetch_weights(digest, SPEC)
    manifest = fetcher.fetch_manifest(digest)
    fetcher.close()
    assert encode_weights(found) == encode_weights(weights)
    assert store.has(manifest_cid(digest))
    leaves = [compute_verdict_leaf(0, D0, 7), compute_verdict_leaf(7, D7, 9)]
    assert isinstance(manifest, ModelManifest)
    assert (manifest.parent, manifest.job, manifest.round) == (manifest_cid(PARENT), 3, 4)
    assert manifest.contributors == compute_contributors(leaves)


def test_two_nodes_make_the_same_digest(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        store = EmbeddedStore(tmp_path / name)
        fetcher = ContentFetcher(store, list)
        library = ModelLibrary(store, fetcher)
        model = GlobalModel(initial_weights(MODEL, 3))
        digests.add(library.store_model(SPEC, model, PARENT, 1, 1, ()))
        fetcher.close()
    assert len(digests) == 1


def test_moments_are_stored_with_the_model_and_found_again(
    store: EmbeddedStore, library: ModelLibrary
) -> None:
    server = ServerOptimiserSpec(kind="nesterov", momentum=0.9)
    aggregation = AggregationSpec(server_optimiser=server)
    spec = SPEC.model_copy(update={"aggregation": aggregation})
    verified = verified_updates(DIGESTS, pack_scores([7, 9, 1, 4]), TRAINERS)
    deltas = {member: initial_weights(MODEL, member + 1) for member in DIGESTS}
    parent = GlobalModel(initial_weights(MODEL, 0))
    first = compute_next_model(spec, parent, verified, deltas)
    digest = library.store_model(spec, first, PARENT, 1, 1, verified)
    fetcher = ContentFetcher(store, list)
    manifest = fetcher.fetch_manifest(digest)
    elsewhere = ModelLibrary(store, fetcher).fetch_model(digest, spec)
    assert isinstance(manifest, ModelManifest)
    assert manifest.optimiser is not None
    assert store.has(manifest.optimiser)
    assert encode_moments(elsewhere) == encode_moments(first)
    second = compute_next_model(spec, elsewhere, verified, deltas)
    assert encode_weights(second.weights) == encode_weights(
        compute_next_model(spec, first, verified, deltas).weights
    )
    with pytest.raises(ModelUnusable):  # the job keeps none, and the file is larger than none
        ModelLibrary(store, fetcher).fetch_model(digest, SPEC)
    fetcher.close()


def test_a_model_of_another_shape_is_unusable(store: EmbeddedStore, library: ModelLibrary) -> None:
    other = initial_weights(LogisticModel(inputs=2, classes=2), 1)
    block = encode_manifest(ModelManifest(weights=store.put(encode_weights(other))))
    store.put_block(block)
    with pytest.raises(ModelUnusable):
        library.fetch_weights(compute_digest(block), SPEC)


def test_a_spec_is_no_model_and_a_model_no_spec(
    store: EmbeddedStore, library: ModelLibrary
) -> None:
    spec = encode_manifest(SPEC)
    model = encode_manifest(ModelManifest(weights=store.put(b"")))
    store.put_block(spec)
    store.put_block(model)
    assert library.fetch_spec(compute_digest(spec)) == SPEC
    with pytest.raises(JobNotServed):
        library.fetch_spec(compute_digest(model))
    with pytest.raises(ModelUnusable):
        library.fetch_weights(compute_digest(spec), SPEC)
    with pytest.raises(ContentNotFound):
        library.fetch_spec(D0)
    store.put_block(b"\xa1aa")
    with pytest.raises(JobNotServed):
        library.fetch_spec(compute_digest(b"\xa1aa"))


def test_only_a_model_without_a_past_can_start_a_job(
    store: EmbeddedStore, library: ModelLibrary
) -> None:
    weights = store.put(encode_weights(initial_weights(MODEL, 1)))
    initial = encode_manifest(ModelManifest(weights=weights))
    trained = encode_manifest(
        ModelManifest(
            weights=weights,
            parent=manifest_cid(PARENT),
            job=1,
            round=1,
            optimiser=store.put(b"not to be had"),
        )
    )
    blocks = (initial, trained, encode_manifest(SPEC), b"\xa1aa")
    for block in blocks:
        store.put_block(block)
    library.require_initial(compute_digest(initial))
    for block in blocks[1:]:
        with pytest.raises(JobNotServed):
            library.require_initial(compute_digest(block))


def test_moments_kept_for_one_job_are_not_anothers(library: ModelLibrary) -> None:
    server = ServerOptimiserSpec(kind="adam", momentum=0.9)
    adam = SPEC.model_copy(update={"aggregation": AggregationSpec(server_optimiser=server)})
    weights = initial_weights(MODEL, 0)
    moments = {
        f"{moment}/{name}": np.zeros_like(tensor)
        for moment in ("first", "second")
        for name, tensor in weights.items()
    }
    digest = library.store_model(adam, GlobalModel(weights, moments), PARENT, 1, 1, ())
    assert library.fetch_model(digest, adam).moments == moments
    with pytest.raises(ModelUnusable):
        library.fetch_model(digest, SPEC)


def test_seeds_differ_by_everything_and_repeat() -> None:
    seeds = {
        derive_seed(SPEC, purpose, job, round_, member)
        for purpose in ("train", "score")
        for job in (1, 2)
        for round_ in (1, 2)
        for member in (0, 1)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(SPEC, "train", 1, 1, 0) in seeds


@pytest.mark.parametrize(("features", "classes"), [((4,), 2), ((3,), 3), ((3, 1, 2), 2)])
def test_a_job_whose_model_does_not_fit_its_data_is_not_served(
    features: tuple[int, ...], classes: int
) -> None:
    data = DataSpec(features=features, classes=classes)
    with pytest.raises(JobNotServed):
        require_consistent(SPEC.model_copy(update={"data": data}), 1000)


def test_a_model_that_is_too_large_is_not_served() -> None:
    require_consistent(SPEC, 8)
    with pytest.raises(JobNotServed) as caught:
        require_consistent(SPEC, 7)
    assert caught.value.details == {"have": 8, "limit": 7}


def _save(**tensors: np.ndarray) -> bytes:
    from safetensors.numpy import save

    return save(tensors)


def _save_as_bfloat16() -> bytes:
    header = b'{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    return len(header).to_bytes(8, "little") + header + bytes(2)


X, Y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1], np.int64)


def test_a_good_validation_set_is_read() -> None:
    found = parse_validation_set(_save(x=X, y=Y), SPEC.data)
    assert np.array_equal(found.x, X)
    assert np.array_equal(found.y, Y)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        (2**40).to_bytes(8, "little") + b"{}",
        _save(x=X),
        _save(x=X, y=Y[:2]),
        _save(x=X[:, :2].copy(), y=Y),
        _save(x=X.astype(np.float64), y=Y),
        _save(x=X, y=Y + 1),
        _save(x=X * np.float32(np.nan), y=Y),
        _save(x=X[:0], y=Y[:0]),
        _save(x=X, y=np.array(1)),
        _save_as_bfloat16(),
    ],
)
def test_a_bad_validation_set_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData):
        parse_validation_set(data, SPEC.data)


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_named_set_is_judged_by_and_trained_on_only_where_it_is_shared(
    store: EmbeddedStore, is_shared: bool
) -> None:
    few = Dataset(np.ones((5, 64), np.float32), np.array([0, 1, 2, 3, 9]))
    cid = store.put(encode_validation_set(few, DIGITS).content)
    data = DIGITS.model_copy(update={"validation": cid, "share_validation": is_shared})
    spec = JobSpec(name="digits", model=LogisticModel(inputs=64, classes=10), data=data)
    source = DigitsSource(part=DigitsPart(parts=20, index=3))
    own = load_dataset(source, data).to_judge_by()
    with closing(ContentFetcher(store, list)) as fetcher:
        found = LocalDataLibrary(source, fetcher).fetch(spec)
    learnt, judged = found.to_train_on(data), found.to_judge_by()
    assert (len(learnt), len(judged)) == (len(own) + 5 * is_shared, len(own) + 5)
    assert np.array_equal(judged.x[-5:], few.x)
    assert np.array_equal(learnt.y[: len(own)], own.y)


def test_a_set_larger_than_the_node_takes_makes_its_job_not_served(store: EmbeddedStore) -> None:
    many = Dataset(np.zeros((1000, 64), np.float32), np.zeros(1000, np.int64))
    cid = store.put(encode_validation_set(many, DIGITS).content)
    data = DIGITS.model_copy(update={"validation": cid})
    spec = JobSpec(name="digits", model=LogisticModel(inputs=64, classes=10), data=data)
    with closing(ContentFetcher(store, list)) as fetcher:
        LocalDataLibrary(DigitsSource(), fetcher, max_memory=2**22).fetch(spec)
        with pytest.raises(JobNotServed, match=r"jobs\.max_memory_mib"):
            LocalDataLibrary(DigitsSource(), fetcher, max_memory=2**18).fetch(spec)


def _norm(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(((a[name] - b[name]) ** 2).sum() for name in a)))


def test_cheats_send_what_they_say() -> None:
    parent = initial_weights(MODEL, 0)
    data = Dataset(X * np.arange(4, dtype=np.float32)[:, None], Y)
    honest = LocalTrainer().train(SPEC, parent, data, seed=1)
    flipped = SignFlipTrainer().train(SPEC, parent, data, seed=1)
    noise = NoiseTrainer().train(SPEC, parent, data, seed=1)
    for name in parent:
        opposite = -3 * (honest.weights[name] - parent[name])
        assert np.allclose(flipped.weights[name] - parent[name], opposite, atol=1e-6)
        assert np.isfinite(noise.weights[name]).all()
    assert 0 < _norm(noise.weights, parent) < 1
    assert noise.samples == len(data)


def test_a_family_the_operator_left_out_is_not_served(store: EmbeddedStore) -> None:
    with closing(ContentFetcher(store, list)) as fetcher:
        library = LocalDataLibrary(DigitsSource(), fetcher, families=("mlp",))
        with pytest.raises(JobNotServed, match=r"jobs\.families"):
            library.fetch(SPEC)


def test_a_job_that_may_take_too_much_memory_is_not_served(store: EmbeddedStore) -> None:
    need = estimate_judging(SPEC, 7)
    with closing(ContentFetcher(store, list)) as fetcher:
        LocalDataLibrary(DigitsSource(), fetcher, max_memory=need).require_memory(SPEC, 7)
        library = LocalDataLibrary(DigitsSource(), fetcher, max_memory=need - 1)
        with pytest.raises(JobNotServed, match=r"jobs\.max_memory_mib") as caught:
            library.require_memory(SPEC, 7)
    assert caught.value.details == {"need": need, "limit": need - 1, "trainers": 7}
