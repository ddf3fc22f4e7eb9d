"""Commonweal: train models together without trusting each other. The SDK is `Client`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commonweal.async_client import AsyncClient
    from commonweal.client import Client

__all__ = ["AsyncClient", "Client"]
_HOMES = {"AsyncClient": "commonweal.async_client", "Client": "commonweal.client"}


def __getattr__(name: str) -> Any:
    """Imported when asked for: the protocol's rules need neither HTTP nor the chain."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
