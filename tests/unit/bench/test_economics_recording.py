"""Recordings that are kept; that they are made is tested with the bench, in tests/integration."""

from pathlib import Path

import numpy as np

from bench.economics.recording import TRAINER_COUNT, Scene, collect, find_cache
from bench.economics.studies import plan


def test_what_was_recorded_is_read_and_not_recorded_again(tmp_path: Path) -> None:
    scene = Scene("free-rider-zero", 3, 7, 2)
    ballots = np.arange(2 * TRAINER_COUNT**2).reshape(2, TRAINER_COUNT, TRAINER_COUNT)
    cache = tmp_path / "ballots.npz"
    np.savez_compressed(cache, **{"free-rider-zero 3 7 2": ballots.astype(np.uint16)})
    recording = collect([scene], cache, jobs=1)[scene]
    assert recording.scene == scene
    assert recording.honest == 9
    assert np.array_equal(recording.ballots, ballots)


def test_recordings_belong_to_one_state_of_the_scoring_code(tmp_path: Path) -> None:
    assert find_cache(tmp_path) == find_cache(tmp_path)
    assert find_cache(tmp_path).parent == tmp_path


def test_each_content_is_recorded_once_whatever_uses_it() -> None:
    """Honest work needs no cheats' places, and whoever commits nothing needs no content."""
    scenes = {study.strategy: study.scenes([0], 16)[0] for study in plan(quick=False)}
    assert scenes["honest + slighting"] == scenes["absent"] == Scene("nothing", 0, 0, 16)
    assert scenes["idle"] == scenes["withholds-reveal"] == Scene("nothing", 3, 0, 16)
    assert scenes["sybil"] == Scene("sybil", 3, 0, 16)
