"""Where content is fetched from, in place of the network. Stores and what is sent are real."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentNotFound

Source = Callable[[httpx.Request], httpx.Response]


class Network:
    """Sources by host name; remembers every request."""

    def __init__(self, **sources: Source) -> None:
        self.sources = sources
        self.requests: list[tuple[str, str, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.host, request.url.path))
        answer = self.sources[request.url.host](request)
        if request.method == "HEAD":
            return httpx.Response(answer.status_code, stream=httpx.ByteStream(b""))
        if not hasattr(answer, "_content"):
            return answer
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(answer.content))

    def fetcher(self, store: EmbeddedStore, **options: float) -> ContentFetcher:
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        urls = [f"http://{name}" for name in self.sources]
        return ContentFetcher(store, lambda: urls, client=client, **options)  # type: ignore[arg-type]

    def count(self, host: str) -> int:
        return sum(1 for _, name, _ in self.requests if name == host)


def honest(store: EmbeddedStore) -> Source:
    def answer(request: httpx.Request) -> httpx.Response:
        cid = request.url.path.rsplit("/", 1)[1]
        try:
            return httpx.Response(200, stream=httpx.ByteStream(store.get_block(cid)))
        except ContentNotFound:
            return httpx.Response(404)

    return answer
