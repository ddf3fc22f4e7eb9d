"""The OpenAPI document, without what FastAPI adds to it by itself and no route answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

_ASSUMED = "#/components/schemas/HTTPValidationError"
_UNUSED = ("HTTPValidationError", "ValidationError")


class DocumentedApi(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Made once. A route that checks the shape of what it takes says so itself (422)."""
        if self.openapi_schema is None:
            _drop_assumptions(super().openapi())
        assert self.openapi_schema is not None
        return self.openapi_schema


def _drop_assumptions(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            if _ASSUMED in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in _UNUSED:
        document["components"]["schemas"].pop(name, None)
