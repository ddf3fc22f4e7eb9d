"""Measures are made one by one, and one that cannot be made says why."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from commonweal.protocol.manifests import decode_manifest, encode_manifest
from commonweal.protocol.specs import LogisticModel
from node_agent.benchmark import (
    FAMILIES,
    Measure,
    make_manifest,
    measure_bandwidth,
    measure_disk,
    measure_machine,
    measure_training,
)


def test_samples_per_second_by_the_clock() -> None:
    ticks = count()
    rate = measure_training(LogisticModel(inputs=784, classes=10), clock=lambda: next(ticks) / 4)
    assert rate == 1024 / 0.5  # one pass between the looks at 0.25 and 0.5


def test_every_family_the_disk_and_a_silent_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node_agent.benchmark._SECONDS", 0.0)
    found = {each.name: each for each in measure_machine(tmp_path, "http://127.0.0.1:9")}
    rates = [found[f"{family}_samples_per_second"].value for family in FAMILIES]
    assert all(isinstance(rate, float) and rate > 0 for rate in rates)
    assert found["disk_free_mib"].value
    assert found["disk_write_mib_per_second"].value
    upload = found["upload_mbit_per_second"]
    assert upload.value is None
    assert "content-unreachable" in upload.reason or "unavailable" in upload.reason
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_reason_not_an_end(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        measure_disk(tmp_path / "nowhere")
    both = list(measure_bandwidth("http://127.0.0.1:9", None))
    assert [each.value for each in both] == [None, None]


def test_the_manifest_tells_measured_from_declared() -> None:
    measures = [Measure("mlp_samples_per_second", 5.0), Measure("gpu", None, "torch finds none")]
    manifest = make_manifest(measures, {"gpu": "eight of the best"})
    assert manifest.measured["mlp_samples_per_second"] == 5.0
    assert "matmul_gflops" in manifest.measured
    assert "gpu" not in manifest.measured
    assert manifest.declared == {"gpu": "eight of the best"}
    assert decode_manifest(encode_manifest(manifest)) == manifest
