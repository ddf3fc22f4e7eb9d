from __future__ import annotations

from pathlib import Path

import pytest

from commonweal.adapters.content.embedded import EmbeddedStore


@pytest.fixture
def theirs(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "theirs")


@pytest.fixture
def ours(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "ours")
