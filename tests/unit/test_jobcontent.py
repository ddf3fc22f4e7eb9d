"""What a job starts from is stored whole, checked, and kept only once the chain names it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.jobcontent import store_job_content
from commonweal.jobfile import InvalidJobFile, JobFile, load_job_file
from commonweal.learning.data import Dataset, InvalidData
from commonweal.protocol.manifests import decode_manifest, manifest_cid
from commonweal.protocol.specs import DataSpec
from commonweal.validation_sets import ValidationSet, encode_validation_set

EXAMPLE = load_job_file(Path(__file__).resolve().parents[2] / "examples" / "digits.yaml")
LONG_AGO = 1_700_000_000


def test_content_of_a_job_is_stored_whole(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    spec, model = store_job_content(EXAMPLE, store)
    assert decode_manifest(store.get_block(manifest_cid(spec))) == EXAMPLE.spec
    assert store.has(manifest_cid(model))


def make_validation_set() -> ValidationSet:
    few = Dataset(np.zeros((2, 64), np.float32), np.array([1, 2]))
    return encode_validation_set(few, EXAMPLE.spec.data)


def name_validation_set(few: ValidationSet) -> JobFile:
    data = DataSpec.model_validate(EXAMPLE.spec.data.model_dump() | {"validation": few.cid})
    return replace(EXAMPLE, spec=EXAMPLE.spec.model_copy(update={"data": data}))


def test_a_validation_set_is_stored_and_held_with_its_job(tmp_path: Path) -> None:
    few = make_validation_set()
    job_file = name_validation_set(few)
    store = EmbeddedStore(tmp_path)
    with pytest.raises(InvalidJobFile, match=few.cid):
        store_job_content(job_file, store)
    spec, _ = store_job_content(replace(job_file, validation=few), store)
    store.pin(manifest_cid(spec))
    store.collect_garbage(grace_seconds=0)
    assert store.get(few.cid, max_bytes=10_000) == few.content
    assert store_job_content(job_file, store)[0] == spec


def test_a_set_that_lay_there_for_long_is_not_collected_from_under_its_job(tmp_path: Path) -> None:
    few, store = make_validation_set(), EmbeddedStore(tmp_path)
    store.unpin(store.put(few.content))
    for block in (tmp_path / "blocks").rglob("*"):
        os.utime(block, (LONG_AGO, LONG_AGO))
    store_job_content(name_validation_set(few), store)
    store.collect_garbage(grace_seconds=3600)
    assert store.has(few.cid)


def test_a_job_that_is_never_offered_is_collected(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    store_job_content(replace(EXAMPLE, validation=make_validation_set()), store)
    store.collect_garbage(grace_seconds=-1)
    assert store.compute_fill() == 0


def test_what_is_named_as_a_set_and_is_none_is_refused(tmp_path: Path) -> None:
    few, store = make_validation_set(), EmbeddedStore(tmp_path)
    other = replace(few, cid=store.put(b"no set at all"))
    with pytest.raises(InvalidData, match="not safetensors"):
        store_job_content(name_validation_set(other), store)
