"""The SDK for asyncio: every verb of `Client`, done by it in a thread. Nothing is written twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from eth_account.signers.local import LocalAccount

from commonweal import answers
from commonweal.adapters.chain import ChainReader
from commonweal.client import Client, JobEvent
from commonweal.jobfile import JobFile


class AsyncClient:
    """One coordinator, seen from outside; results and errors are those of `Client`."""

    def __init__(self, url: str, *, timeout: float = 30.0, api_key: str | None = None) -> None:
        self._client = Client(url, timeout=timeout, api_key=api_key)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    async def network(self) -> answers.Network:
        return await asyncio.to_thread(self._client.network)

    async def jobs(self, state: str | None = None) -> answers.Page[answers.Job]:
        return await asyncio.to_thread(self._client.jobs, state)

    async def job(self, job: int) -> answers.Job:
        return await asyncio.to_thread(self._client.job, job)

    async def members(self, job: int) -> answers.Page[answers.Member]:
        return await asyncio.to_thread(self._client.members, job)

    async def rounds(self, job: int) -> answers.Page[answers.Round]:
        return await asyncio.to_thread(self._client.rounds, job)

    async def updates(self, job: int, round_: int) -> answers.Page[answers.Update]:
        return await asyncio.to_thread(self._client.updates, job, round_)

    async def models(self, job: int) -> answers.Page[answers.Model]:
        return await asyncio.to_thread(self._client.models, job)

    async def claims(self, job: int) -> answers.Claims:
        return await asyncio.to_thread(self._client.claims, job)

    async def payments(self, job: int) -> answers.Page[answers.Payment]:
        return await asyncio.to_thread(self._client.payments, job)

    async def providers(self, cursor: str | None = None) -> answers.Page[answers.Provider]:
        return await asyncio.to_thread(self._client.providers, cursor)

    async def offer(self, offer_id: str) -> answers.OfferState:
        return await asyncio.to_thread(self._client.offer, offer_id)

    async def submit(
        self,
        job_file: JobFile,
        *,
        reader: ChainReader,
        account: LocalAccount,
        scratch: Path,
        timeout: float = 60.0,  # noqa: ASYNC109 – the thread's own deadline
    ) -> int:
        return await asyncio.to_thread(
            self._client.submit,
            job_file,
            reader=reader,
            account=account,
            scratch=scratch,
            timeout=timeout,
        )

    async def watch(self, job: int, *, last_event: str | None = None) -> AsyncIterator[JobEvent]:
        """A cancelled wait leaves its thread until the next event or the stream's next ping."""
        events = self._client.watch(job, last_event=last_event)
        while (event := await asyncio.to_thread(next, events, None)) is not None:
            yield event
