"""Who may write here: accounts that the chain knows, because making one up costs something.

A provider counts as its owner, whichever of its keys signs.
"""

from __future__ import annotations

from dataclasses import dataclass

from commonweal.adapters.chain import ChainReader
from commonweal.errors import Conflict
from commonweal.protocol.types import Address, Wei
from service.repository import Repository


class AccountUnknown(Conflict):
    """Neither a provider's owner or operator, nor a requester, nor a holder of tokens."""

    code = "account-unknown"


@dataclass(frozen=True, slots=True)
class Admission:
    reader: ChainReader
    repository: Repository
    least_holding: Wei  # of whoever is neither provider nor requester

    def find_identity(self, account: Address) -> Address:
        """The account that counts for limits. Raises AccountUnknown.

        Rows first: the chain is asked only about those who came after the latest indexed block.
        """
        known = self.repository.find_owner(account)
        if known is not None:
            return known
        if self.repository.has_job_of(account):
            return account
        return self._ask_chain(account)

    def _ask_chain(self, account: Address) -> Address:
        at = self.reader.fetch_head().number
        owner = self.reader.fetch_provider_of_operator(account, at)
        if owner is not None:
            return owner
        if self.reader.fetch_provider(account, at).roles:
            return account
        have = self.reader.fetch_balance(account, at)
        if have < self.least_holding:
            text = f"{account} is no provider, has no job and holds {have} wei of the token"
            need = str(self.least_holding)
            raise AccountUnknown(text, account=account, have=str(have), need=need)
        return account
