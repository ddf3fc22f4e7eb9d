"""The GPU's share is set before anything is put on it; there is none here, so torch is watched."""

from __future__ import annotations

import os

import pytest
import torch

from node_agent.runtime import limit_gpu, use_large_pages


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What torch was told."""
    told: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return told


def test_a_share_is_set(shares: list[float]) -> None:
    limit_gpu(0.25)
    assert (shares, os.environ["CUDA_VISIBLE_DEVICES"]) == ([0.25], "0")


def test_all_of_it_needs_no_limit(shares: list[float]) -> None:
    limit_gpu(1.0)
    assert (shares, os.environ["CUDA_VISIBLE_DEVICES"]) == ([], "0")


def test_no_share_hides_the_gpu(shares: list[float]) -> None:
    limit_gpu(0.0)
    assert (shares, os.environ["CUDA_VISIBLE_DEVICES"]) == ([], "")


def test_where_there_is_no_gpu_nothing_is_set(
    shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    limit_gpu(0.5)
    assert shares == []


@pytest.mark.parametrize(("own", "kept"), [(None, "1"), ("0", "0")])
def test_large_pages_are_used_unless_the_operator_says_no(
    own: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if own is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", own)
    use_large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == kept
