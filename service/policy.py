"""What the operator is willing to carry to the chain at his own cost."""

from __future__ import annotations

from dataclasses import dataclass

from commonweal.errors import Conflict
from commonweal.protocol.types import Address, JobParameters

MOST_MEMBERSHIPS = 4  # joins and leaves of one provider in one job
OFFERS_PER_HOUR = 60  # of one requester
_ANYBODY = 0


class ShareTooLow(Conflict):
    """The job pays its coordinator too little; its members may go to the chain themselves."""

    code = "coordinator-share-too-low"


class TooManyOffers(Conflict):
    """One requester's jobs cost gas faster than this coordinator pays for."""

    code = "too-many-offers"


class TooManyMemberships(Conflict):
    """Joined and left so often here that the next time is at the provider's own cost."""

    code = "too-many-memberships"


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    sender: Address
    min_share_bps: int = 0
    most_memberships: int = MOST_MEMBERSHIPS
    offers_per_hour: int = OFFERS_PER_HOUR

    def check_share(self, parameters: JobParameters) -> None:
        """Raises ShareTooLow; what a job pays to another coordinator does not count."""
        to_us = parameters.coordinator == self.sender or int(parameters.coordinator, 16) == _ANYBODY
        share = parameters.coordinator_share_bps if to_us else 0
        if share < self.min_share_bps:
            text = f"{self.sender} asks for {self.min_share_bps} bps, the job pays {share}"
            raise ShareTooLow(text, share=share, need=self.min_share_bps, coordinator=self.sender)

    def check_memberships(self, job: int, provider: str, count: int) -> None:
        """`count`: of those accepted before. Raises TooManyMemberships."""
        if count >= self.most_memberships:
            text = f"{provider} joined or left job {job} {count} times here already"
            limit = self.most_memberships
            raise TooManyMemberships(text, job=job, provider=provider, count=count, limit=limit)

    def check_offers(self, requester: str, count: int) -> None:
        """`count`: of those accepted within the last hour. Raises TooManyOffers."""
        if count >= self.offers_per_hour:
            text = f"{requester} offered {count} jobs here within an hour"
            limit = self.offers_per_hour
            raise TooManyOffers(text, requester=requester, count=count, limit=limit)
