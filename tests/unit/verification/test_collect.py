"""Where `weal verify` asks for content: members' announcements, in strangers' words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from commonweal.protocol.events import EventRef, ProviderAnnounced
from commonweal.protocol.types import Address
from commonweal.verification.collect import fetch_sources

MEMBERS = tuple(Address("0x" + f"{n:02x}" * 20) for n in range(1, 5))
STRANGER = Address("0x" + "99" * 20)
REF = EventRef(1, b"\x01" * 32, b"\x02" * 32, 0, 1000)


class Chain:
    deployment = SimpleNamespace(deployed_block=0)

    def __init__(self, announced: list[tuple[Address, str]]) -> None:
        self.announced = announced

    def fetch_head(self) -> Any:
        return SimpleNamespace(number=9)

    def fetch_members(self, job: int, at: int) -> Any:
        return [SimpleNamespace(provider=member) for member in MEMBERS]

    def fetch_events(self, start: int, end: int) -> Any:
        return [ProviderAnnounced(REF, *each, bytes(32)) for each in self.announced]


def test_members_last_words_are_asked_if_they_can_be_dialled() -> None:
    chain: Any = Chain(
        [
            (MEMBERS[0], "http://old"),
            (STRANGER, "http://stranger"),
            (MEMBERS[1], "http://a..b"),
            (MEMBERS[2], "http://127.0.0.1:99999999999999999999"),
            (MEMBERS[3], ""),
            (MEMBERS[0], "http://new"),
        ]
    )
    assert fetch_sources(chain, 1) == ["http://new"]
