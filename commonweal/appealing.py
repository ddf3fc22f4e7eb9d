"""An appellant's transactions: open a case, move it on, take what its bonds have become."""

from __future__ import annotations

import time
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from sqlalchemy import create_engine

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.errors import Conflict, NotFound
from commonweal.protocol.appeals import (
    NO_SETTLEMENT,
    AppealStep,
    Case,
    NotAppealable,
    Settlement,
    Stage,
    build_settlement,
    due_step,
)
from commonweal.protocol.types import Address, Fault, Wei


class AppealUnknown(NotFound):
    code = "appeal-unknown"


class NothingDue(Conflict):
    code = "nothing-due"


def fetch_case(reader: ChainReader, appeal: int) -> Case:
    """Raises AppealUnknown."""
    head = reader.fetch_head().number
    case = reader.fetch_case(appeal, head)
    if case.stage is Stage.NONE:
        count = reader.fetch_appeal_count(head)
        message = f"there is no appeal {appeal}: the chain has {count}"
        raise AppealUnknown(message, appeal=appeal, appeals=count)
    return case


@dataclass(frozen=True, slots=True)
class Appellant:
    """Whoever holds that a slash or a model is wrong; the bond comes from this account."""

    reader: ChainReader
    account: LocalAccount

    def appeal_model(self, job: int, round_: int) -> int:
        """The appeal's number. Raises NotAppealable, ContractReverted."""
        settlement = self._settle(job, round_)
        bond = self._fetch_bond(job)
        return self._open("appealModel", bond, job, round_, settlement.argument)

    def appeal_slash(self, slash: int) -> int:
        """The appeal's number. Raises NotAppealable, ContractReverted."""
        job, round_, _, fault = self.reader.fetch_fault(slash, self._head)
        if job == 0:
            raise NotAppealable(f"slash {slash} proves no fault that is on chain", slash=slash)
        judged = fault is Fault.INVALID_UPDATE
        settlement = self._settle(job, round_) if judged else NO_SETTLEMENT
        bond = self._fetch_bond(job)
        return self._open("appealSlash", bond, slash, settlement.argument)

    def appeal_again(self, appeal: int) -> None:
        """Against the first jury's decision, for twice the bond."""
        case = fetch_case(self.reader, appeal)
        self._approve(Wei(2 * case.bond), f"appeal {appeal} again")
        self._send("appealAgain", appeal)

    def take_owed(self, account: Address) -> Wei:
        """Whoever calls, it goes to `account`. Raises ContractReverted if nothing is owed."""
        owed = Wei(self.reader.call("Appeals", "owedTo", account, at=self._head))
        self._send("takeOwed", account)
        return owed

    def move_on(self, appeal: int) -> AppealStep:
        """Whatever is due, by anybody: the draw, the end of a stage. Raises NothingDue."""
        case, head = fetch_case(self.reader, appeal), self.reader.fetch_head()
        now = max(head.timestamp, int(time.time()))
        step = due_step(case, now=now, block_number=head.number)
        if step is None:
            message = f"appeal {appeal} is in {case.stage.name} until {case.ends_at}"
            raise NothingDue(message, appeal=appeal, stage=case.stage.name, ends_at=case.ends_at)
        header = (self.reader.fetch_header(case.seed_block),) if step is AppealStep.DRAW else ()
        self._send(step.value, appeal, *header)
        return step

    @property
    def _head(self) -> int:
        return self.reader.fetch_head().number

    def _settle(self, job: int, round_: int) -> Settlement:
        start = self.reader.deployment.deployed_block
        return build_settlement(self.reader.fetch_events(start, self._head, job), job, round_)

    def _fetch_bond(self, job: int) -> Wei:
        return self.reader.fetch_job(job, self._head).parameters.min_stake

    def _open(self, function: str, bond: Wei, *args: object) -> int:
        before = self.reader.fetch_appeal_count(self._head)
        self._approve(bond, f"appeal {before + 1}")
        self._send(function, *args)
        return self._find_mine(before)

    def _find_mine(self, before: int) -> int:
        """Somebody else's may have come between."""
        head, me = self._head, Address(self.account.address)
        for appeal in range(self.reader.fetch_appeal_count(head), before, -1):
            if self.reader.fetch_case(appeal, head).first == me:
                return appeal
        raise AppealUnknown("the appeal was mined and undone; appeal again")

    def _approve(self, amount: Wei, intent: str) -> None:
        appeals = self.reader.deployment["Appeals"]
        self._sender().send(f"approve {intent}", "CommonwealToken", "approve", appeals, amount)

    def _send(self, function: str, *args: object) -> None:
        self._sender().send(f"{function}{args}", "Appeals", function, *args)

    def _sender(self) -> TransactionSender:
        engine = create_engine("sqlite://")
        create_outbox_tables(engine)
        return TransactionSender(self.reader, self.account, Outbox(engine))
