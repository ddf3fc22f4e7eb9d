"""Packages that only some users need: asked for before they are imported, with a remedy."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from commonweal.errors import NotFound

_EXTRAS = {"torch": "node", "sklearn": "node", "pyarrow": "node", "PIL": "node"}


class ExtraMissing(NotFound):
    code = "extra-missing"


def require_extra(module: str) -> Path:
    """The folder of an installed package, without importing it. Raises ExtraMissing."""
    package = importlib.util.find_spec(module)
    if package is None or package.origin is None:
        extra = _EXTRAS[module]
        message = f"{module} is not installed: pip install 'commonweal[{extra}]'"
        raise ExtraMissing(message, module=module, extra=extra)
    return Path(package.origin).parent
