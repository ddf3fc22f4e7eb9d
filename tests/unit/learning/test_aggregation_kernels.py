"""Compiled and numpy kernels give the same bytes; without a compiler there are the numpy ones."""

import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_samples import address

from commonweal.learning.aggregation import GlobalModel, ScoredUpdate, advance
from commonweal.learning.aggregation.blocks import BLOCK, SUBBLOCK, Mixture, NumpyKernels
from commonweal.learning.aggregation.compiled import choose_kernels, load_compiled
from commonweal.learning.aggregation.networks import build_network
from commonweal.learning.weights import encode_tensors
from commonweal.protocol.specs import AggregationSpec, ServerOptimiserSpec

RULES = AggregationSpec.model_fields["rule"].annotation.__args__
OPTIMISERS = [
    ServerOptimiserSpec(),
    ServerOptimiserSpec(momentum=0.9),
    ServerOptimiserSpec(kind="nesterov", momentum=0.9),
    ServerOptimiserSpec(kind="adam", momentum=0.9),
    ServerOptimiserSpec(kind="yogi", momentum=0.9),
]
SIZES = [1, 15, 16, 63, 64, 65, 511, 513, SUBBLOCK, SUBBLOCK + 1, BLOCK, 2 * BLOCK + 4097]
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    kernels = load_compiled(tmp_path_factory.mktemp("kernels"))
    assert kernels is not None
    return kernels


def rough(seed: int, count: int, size: int) -> list[np.ndarray]:
    """Numbers of all sizes, with many equal ones, zeros of both signs and subnormals."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, size)) * 10.0 ** generator.integers(-42, 6, size)
    rows[generator.random((count, size)) < 0.1] = -0.0
    rows[generator.random((count, size)) < 0.1] = 0.0
    rows[:, ::7] = np.round(rows[:, ::7])
    with np.errstate(under="ignore"):
        return list(rows.astype(np.float32))


@needs_compiler
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 24),
    size=st.sampled_from(SIZES),
    rule=st.sampled_from(RULES),
    clip=st.booleans(),
    mix=st.booleans(),
    bucket=st.integers(1, 4),
    server=st.sampled_from(OPTIMISERS),
    threads=st.integers(1, 3),
)
def test_both_give_the_same_model(
    compiled, seed, count, size, rule, clip, mix, bucket, server, threads
):
    names = ["a", "b"]
    rows = rough(seed, 2 * count + 2, size)
    deltas = [dict(zip(names, rows[2 * i : 2 * i + 2], strict=True)) for i in range(count)]
    updates = [ScoredUpdate(address(i + 1), 1 + i, delta) for i, delta in enumerate(deltas)]
    spec = AggregationSpec(
        rule=rule,
        clip_to_median=clip,
        mix_neighbours=mix,
        bucket_size=bucket,
        server_optimiser=server,
    )
    parent = GlobalModel(dict(zip(names, rows[-2:], strict=True)))
    first, second = (
        advance(
            spec,
            advance(spec, parent, updates, seed=b"1", kernels=kernels),
            updates,
            seed=b"2",
            threads=threads,
            kernels=kernels,
        )
        for kernels in (compiled, NumpyKernels())
    )
    assert encode_tensors(first.weights, "F32") == encode_tensors(second.weights, "F32")
    assert encode_tensors(first.moments, "F32") == encode_tensors(second.moments, "F32")


@needs_compiler
@pytest.mark.parametrize("count", [*range(1, 34), 50, 100])
def test_both_sort_alike(compiled, count):
    rows, size = rough(count, count, 700), 700
    for cut in {0, count // 10, (count - 1) // 2}:
        results = []
        for share in (1.0, 0.3):
            mixture = Mixture(tuple(((at, share),) for at in range(count)))
            for kernels in (compiled, NumpyKernels()):
                out = np.empty(size)
                assert kernels.sorted_mean(rows, mixture, cut, out)
                results.append(out.tobytes())
        assert results[0] == results[1]
        assert results[2] == results[3]
        exact = np.sort(np.stack(rows).astype(np.float64), axis=0)[cut : count - cut]
        np.testing.assert_allclose(np.frombuffer(results[0]), exact.mean(axis=0), atol=1e-9)


@needs_compiler
@pytest.mark.parametrize("size", SIZES[:-1])
def test_both_multiply_alike(compiled, size):
    rows = rough(size, 7, size)
    assert compiled.gram(rows).tobytes() == NumpyKernels().gram(rows).tobytes()
    squares = compiled.squares(rows)
    assert squares.tobytes() == NumpyKernels().squares(rows).tobytes()
    assert squares.tobytes() == np.diagonal(compiled.gram(rows)).tobytes()
    exact = np.stack(rows).astype(np.float64)
    np.testing.assert_allclose(compiled.gram(rows), exact @ exact.T, rtol=1e-9, atol=1e-9)


@needs_compiler
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 63, 64, 699])
def test_both_see_what_is_not_finite(compiled, bad, at):
    rows = rough(1, 5, 700)
    rows[3][at] = bad
    for share in (1.0, 0.5):
        mixture = Mixture(tuple(((row, share),) for row in range(5)))
        for kernels in (compiled, NumpyKernels()):
            assert not kernels.sorted_mean(rows, mixture, 1, np.empty(700))
    for kernels in (compiled, NumpyKernels()):
        assert not np.isfinite(kernels.squares(rows)).all()
        step = np.empty(700)
        kernels.weighted_sum(rows, [0.2] * 5, step)
        assert not kernels.apply(rows[0], step, 1.0, np.empty(700, np.float32))


@needs_compiler
@pytest.mark.parametrize("at", [0, 63, 64, 699])
def test_both_see_a_result_beyond_float32(compiled, at):
    parent, step = np.zeros(700, np.float32), np.zeros(700)
    step[at] = 1e39
    for kernels in (compiled, NumpyKernels()):
        assert not kernels.apply(parent, step, 1.0, np.empty(700, np.float32))
        assert kernels.apply(parent, step, 0.1, np.empty(700, np.float32))


def test_a_network_sorts_what_it_is_asked_for():
    """All rows of zeros and ones: a network that sorts these sorts everything (Knuth 5.3.4, Z)."""
    for size in range(1, 11):
        cases = np.array(list(np.ndindex(*(2,) * size))).T
        for cut in range((size - 1) // 2 + 1):
            rows = [row.copy() for row in cases]
            for i, j, keep in build_network(size, cut, size - cut):
                low, high = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
                rows[i] = low if keep & 1 else rows[i]
                rows[j] = high if keep & 2 else rows[j]
            wanted = np.sort(cases, axis=0)[cut : size - cut]
            np.testing.assert_array_equal(rows[cut : size - cut], wanted)


def test_a_median_needs_fewer_comparisons_than_a_sort():
    assert len(build_network(20, 9, 11)) < len(build_network(20, 0, 20))


def fake_compiler(folder: Path, text: str) -> None:
    folder.mkdir()
    script = folder / "cc"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_without_a_compiler_there_are_the_numpy_kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load_compiled(tmp_path / "cache") is None


def test_a_compiler_that_fails_or_makes_rubbish_is_not_believed(tmp_path, monkeypatch):
    path = os.environ["PATH"]
    for name, text in (
        ("failing", "exit 1"),
        ("rubbish", 'while [ "$1" != -o ]; do shift; done; echo x > "$2"'),
    ):
        fake_compiler(tmp_path / name, text)
        monkeypatch.setenv("PATH", f"{tmp_path / name}:{path}")
        assert load_compiled(tmp_path / f"cache-{name}") is None


@needs_compiler
def test_kernels_that_round_otherwise_are_not_used(tmp_path, monkeypatch):
    """As a compiler would make them that reorders sums or contracts them on its own."""
    real = next(path for name in ("cc", "gcc", "clang") if (path := shutil.which(name)))
    # With gcc's start files for it, loading would make the whole process flush subnormals to zero.
    fake_compiler(tmp_path / "bin", f'exec {real} "$@" -ffast-math -nostartfiles')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert load_compiled(tmp_path / "cache") is None


@needs_compiler
def test_what_was_compiled_is_kept(tmp_path, monkeypatch):
    assert load_compiled(tmp_path / "cache") is not None
    (library,) = (tmp_path / "cache").iterdir()
    made = library.stat().st_mtime_ns
    assert load_compiled(tmp_path / "cache") is not None
    assert library.stat().st_mtime_ns == made


def open_to_all(cache: Path) -> None:
    cache.chmod(0o777)


def linked(cache: Path) -> None:
    cache.rename(cache.with_name("elsewhere"))
    cache.symlink_to(cache.with_name("elsewhere"))


def replaceable(cache: Path) -> None:
    cache.parent.chmod(0o777)


@needs_compiler
@pytest.mark.parametrize("spoil", [open_to_all, linked, replaceable])
def test_a_cache_that_others_can_change_is_not_used(tmp_path, spoil):
    cache = tmp_path / "home" / "cache"
    assert load_compiled(cache) is not None
    spoil(cache)
    assert load_compiled(cache) is None


@needs_compiler
def test_a_cache_of_another_user_is_not_used(tmp_path, monkeypatch):
    assert load_compiled(tmp_path / "cache") is not None
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert load_compiled(tmp_path / "cache") is None


@needs_compiler
def test_a_library_that_others_can_write_is_made_anew(tmp_path):
    assert load_compiled(tmp_path / "cache") is not None
    (library,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(library.stat().st_mode) == 0o700
    made = library.stat().st_ino
    library.chmod(0o722)
    assert load_compiled(tmp_path / "cache") is not None
    assert library.stat().st_ino != made
    assert stat.S_IMODE(library.stat().st_mode) == 0o700


@pytest.fixture
def fresh_choice():
    choose_kernels.cache_clear()
    yield
    choose_kernels.cache_clear()


@needs_compiler
@pytest.mark.usefixtures("fresh_choice")
def test_a_cache_named_by_a_relative_path_is_ignored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert choose_kernels().name == "compiled"
    assert not (tmp_path / "here").exists()
    assert any((tmp_path / "home" / ".cache" / "commonweal").iterdir())


@pytest.mark.usefixtures("fresh_choice")
def test_without_a_home_there_are_the_numpy_kernels(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert isinstance(choose_kernels(), NumpyKernels)


def test_numpy_kernels_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("WEAL_KERNELS", "numpy")
    choose_kernels.cache_clear()
    assert isinstance(choose_kernels(), NumpyKernels)
    choose_kernels.cache_clear()
