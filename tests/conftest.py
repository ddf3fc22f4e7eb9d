"""What every test starts from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    """A command that ran inside a test set up logging to a stream that is closed by now."""
    yield
    structlog.reset_defaults()
