"""Every wei of the simulation: who holds it. Deposits = what is held + what was paid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from commonweal.protocol.stakes import Conduct, Stake
from commonweal.protocol.types import Address, Wei


@dataclass(slots=True)
class Account:
    """A provider. `wallet` may be negative: a lost bond, and what work cost is not in it."""

    name: Address
    stake: Stake
    conduct: Conduct = field(default_factory=Conduct)
    wallet: int = 0
    spent: int = 0  # on work, outside of the protocol
    slashed: int = 0  # net of what appeals gave back
    has_given_up: bool = False  # after a lost appeal
    jailed_after: int | None = None  # rounds
    ruined_after: int | None = None


@dataclass(frozen=True, slots=True)
class HeldSlash:
    amount: Wei
    bounty: Wei
    prover: Account | None  # None: somebody who has no stake here
    settleable_at: int


@dataclass(slots=True)
class Book:
    """`others`: treasury, coordinator, requester, keeper."""

    accounts: list[Account]
    deposited: int = 0
    escrow: int = 0
    held: list[HeldSlash] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def hold(self, slash: HeldSlash) -> None:
        self.held.append(slash)

    def settle(self, now: int) -> None:
        """Pays out the slashes whose appeal window is over."""
        due = [slash for slash in self.held if slash.settleable_at <= now]
        for slash in due:
            if slash.prover is None:
                self.others["keeper"] += slash.bounty
            else:
                slash.prover.wallet += slash.bounty
            self.others["treasury"] += slash.amount - slash.bounty
        if due:
            self.held = [slash for slash in self.held if slash.settleable_at > now]

    def compute_imbalance(self) -> int:
        """Zero, or money was made or lost."""
        stakes = sum(account.stake.total for account in self.accounts)
        wallets = sum(account.wallet for account in self.accounts)
        held = sum(slash.amount for slash in self.held)
        others = sum(self.others.values())
        return self.deposited - stakes - wallets - held - others - self.escrow
