"""The keys that pay for this coordinator's transactions, and how much they have left for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from eth_account.signers.local import LocalAccount
from sqlalchemy import Engine as Database

from commonweal.adapters.assignments import Assignments
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.keystore import load_account, read_password
from commonweal.adapters.sender_pool import SenderPool
from commonweal.adapters.transactions import Outbox, TransactionSender
from commonweal.errors import CommonwealError
from commonweal.protocol.types import Address
from service.metrics import Metrics
from service.settings import InvalidSettings, Settings

_BALANCE_SECONDS = 5.0


@dataclass(slots=True)
class Balance:
    """The sender's gas money, asked for at most every few seconds."""

    reader: ChainReader
    address: Address
    _wei: int | None = None
    _at: float = field(default=float("-inf"))

    def fetch(self) -> int | None:
        """None while the chain does not answer."""
        if time.monotonic() - self._at >= _BALANCE_SECONDS:
            self._at = time.monotonic()
            try:
                self._wei = self.reader.ask(self._ask)
            except CommonwealError:
                self._wei = None
        return self._wei

    def _ask(self) -> int:
        return int(self.reader.web3.eth.get_balance(self.address))  # type: ignore[arg-type]


def load_accounts(settings: Settings) -> tuple[LocalAccount, ...]:
    """The first is the coordinator itself. Raises InvalidSettings, and what keystores raise."""
    password = read_password(settings.password_file)
    files = (settings.keystore, *settings.more_keystores)
    accounts = tuple(load_account(file, password) for file in files)
    (address, times), *_ = Counter(account.address for account in accounts).most_common(1)
    if times > 1:
        raise InvalidSettings(f"{times} keystores hold the key of {address}", address=address)
    return accounts


def open_pool(
    settings: Settings,
    reader: ChainReader,
    database: Database,
    accounts: Sequence[LocalAccount],
    metrics: Metrics,
) -> SenderPool:
    outbox = Outbox(database)
    senders = [
        TransactionSender(
            reader,
            account,
            outbox,
            replace_after=settings.replace_after,
            note_receipt=partial(metrics.note_receipt, Address(account.address)),
        )
        for account in accounts
    ]
    chain_id = reader.deployment.chain_id
    assignments = Assignments(database, chain_id, senders[0].address)
    return SenderPool(senders, outbox, assignments, chain_id)
