"""What is wrong with an update: one error for every encoding."""

from __future__ import annotations

from commonweal.errors import InvalidInput


class InvalidUpdate(InvalidInput):
    """`reason` as in InvalidWeights, or too-large, range, scale, value, canonical, indices, count.

    `canonical`: another byte form of the same update is the accepted one.
    """

    code = "invalid-update"


def require(condition: bool, reason: str, message: str, **details: object) -> None:
    """Raises InvalidUpdate unless `condition` holds."""
    if not condition:
        raise InvalidUpdate(message, reason=reason, **details)
