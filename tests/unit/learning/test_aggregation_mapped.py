"""Pages of mapped updates are given back, and nobody's numbers change by it."""

from pathlib import Path

import numpy as np
import pytest
from learning_samples import address

from commonweal.learning.aggregation import ScoredUpdate, aggregate
from commonweal.learning.aggregation.mapped import find_mapped
from commonweal.learning.weights import encode_weights
from commonweal.protocol.specs import AggregationSpec

SIZE = 4 * 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    numbers = np.arange(SIZE, dtype=np.float32)
    numbers.tofile(tmp_path / "update.f32")
    return tmp_path / "update.f32"


def resident_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("RssFile"))
    return int(kilobytes) / 1024


def test_pages_that_were_read_are_given_back(file):
    row = np.memmap(file, np.float32, "r")[3:-3]
    before = resident_mib()
    total = row.sum(dtype=np.float64)
    assert resident_mib() - before > 15
    tensor = find_mapped(row)
    assert tensor is not None
    assert tensor.start == 12
    tensor.give_back(0, row.nbytes)
    assert resident_mib() - before < 3  # all but the file's last piece
    assert row.sum(dtype=np.float64) == total


def test_what_may_be_changed_in_memory_is_not_given_back(file):
    """Giving back would undo the changes."""
    assert find_mapped(np.memmap(file, np.float32, "c")) is None
    assert find_mapped(np.ones(3, np.float32)) is None


@pytest.mark.parametrize("kept", [0, 2**29])
def test_memory_holds_no_more_than_may_stay(file, monkeypatch, kept):
    monkeypatch.setattr("commonweal.learning.aggregation.mapped.KEPT", kept)
    updates = [
        ScoredUpdate(address(at), 1, {"a": np.memmap(file, np.float32, "r")}) for at in (1, 2, 3)
    ]
    parent, before = {"a": np.zeros(SIZE, np.float32)}, resident_mib()
    aggregate(AggregationSpec(rule="median"), parent, updates)
    grown = resident_mib() - before
    assert grown > 45 if kept else grown < 15


@pytest.mark.parametrize("rule", ["mean", "median", "krum"])
def test_mapped_updates_give_the_same_model(tmp_path, rule):
    generator = np.random.default_rng(2)
    deltas = [{"a": generator.standard_normal(100_000, dtype=np.float32)} for _ in range(5)]
    for at, delta in enumerate(deltas):
        delta["a"].tofile(tmp_path / f"{at}")
    mapped = [{"a": np.memmap(tmp_path / f"{at}", np.float32, "r")} for at in range(5)]
    parent = {"a": np.zeros(100_000, np.float32)}
    models = [
        aggregate(
            AggregationSpec(rule=rule),
            parent,
            [ScoredUpdate(address(i + 1), 1, delta) for i, delta in enumerate(those)],
        )
        for those in (deltas, mapped)
    ]
    assert encode_weights(models[0]) == encode_weights(models[1])
