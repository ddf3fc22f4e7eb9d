"""What a request is answered when the coordinator cannot serve it."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from service.api.errors import install


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT 1", {}, ConnectionError("away")),
        PoolExhausted("QueuePool limit of size 5 overflow 10 reached"),
    ],
)
async def test_a_database_that_does_not_answer_is_no_bug(error: Exception) -> None:
    app = FastAPI()
    install(app)

    @app.get("/")
    def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        response = await client.get("/")
    assert (response.status_code, response.json()["code"]) == (503, "database-unavailable")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
