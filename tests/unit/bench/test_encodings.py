"""The bench of encodings: settings that can be compared, and rows whose arithmetic is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.attacks.tasks import DatasetMissing
from bench.encodings.federation import Result, Setting, run
from bench.encodings.report import compare_encodings, compare_phases, plot
from bench.encodings.settings import ENCODINGS, encoding_settings, phase_settings
from bench.encodings.tasks import find_data, make_task
from commonweal.learning.weights import parameter_count, shapes_of
from commonweal.protocol.specs import CnnModel


def test_all_encodings_get_the_same_rounds() -> None:
    settings = encoding_settings(quick=False)
    assert [setting.name for setting in settings] == list(ENCODINGS)
    assert len({replace(s, name="", encoding=settings[0].encoding) for s in settings}) == 1


@pytest.mark.parametrize("quick", [False, True])
def test_phases_see_as_many_samples_as_synchronous_training(quick: bool) -> None:
    settings = phase_settings(quick=quick)
    assert settings[0].steps == 1
    assert len({setting.samples * setting.rounds for setting in settings}) == 1


def test_the_model_has_about_400_k_parameters() -> None:
    model = CnnModel(shape=(1, 28, 28), channels=(16, 32, 136, 288), classes=10)
    assert parameter_count(shapes_of(model)) == 399_794


@pytest.mark.parametrize("name", ["fp32", "int8", "top-k-int8 1/32"])
def test_a_short_job_learns_and_repeats(name: str) -> None:
    task = make_task("digits", 0, 4, 0, None)
    setting = Setting(name, ENCODINGS[name], rounds=4, steps=6, batch=32)
    first = run(task, setting, 0)
    assert first == run(task, setting, 0)
    assert first.accuracy > 0.3


def test_rows_by_hand() -> None:
    """Half the bytes for four times the samples is an eighth of the bytes per sample."""
    base = Setting("fp32", ENCODINGS["fp32"], rounds=8, steps=1, batch=10)
    other = Setting("int8", ENCODINGS["int8"], rounds=2, steps=4, batch=10)
    measured = {
        base: [Result(0.9, 1000.0), Result(0.8, 1000.0)],
        other: [Result(0.89, 500.0), Result(0.8, 500.0)],
    }
    first, second = compare_phases(measured)
    assert (first["times_smaller"], first["points_lost"]) == (1.0, 0.0)
    assert (second["times_smaller"], second["times_fewer_bytes_per_sample"]) == (2.0, 8.0)
    assert (second["accuracy"], second["fp32_accuracy"]) == (0.845, 0.85)
    assert (second["points_lost"], second["points_lost_error"]) == (0.5, 0.5)
    assert {row["table"] for row in compare_encodings(measured)} == {"encodings"}


def test_the_plot_is_the_same_bytes_for_the_same_rows(tmp_path: Path) -> None:
    setting = Setting("fp32", ENCODINGS["fp32"], rounds=1, steps=1, batch=1)
    rows = compare_encodings({setting: [Result(0.9, 1000.0)]})
    first, _ = (path.read_bytes() for path in plot(rows, tmp_path))
    again, _ = (path.read_bytes() for path in plot(rows, tmp_path))
    assert first == again


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=str(tmp_path)):
        find_data(tmp_path)
