"""One identity's uploads use up its own room only."""

from __future__ import annotations

import pytest

from service.uploads import QuotaSpent, UploadQuota


def test_a_quota_is_spent_by_bytes_and_identity() -> None:
    quota = UploadQuota(1_000, 3_600)
    quota.spend("a", 600)
    quota.spend("a", 400)
    with pytest.raises(QuotaSpent) as caught:
        quota.spend("a", 500)
    assert 1_790 <= caught.value.details["seconds"] <= 1_800  # type: ignore[operator]
    quota.spend("b", 1_000)
