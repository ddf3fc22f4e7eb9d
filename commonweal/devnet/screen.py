"""What the demo shows: live progress while it runs, tables when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from commonweal.devnet.follow import Follower, RoundProgress
from commonweal.devnet.results import Money, ProviderResult, RoundResult
from commonweal.protocol.types import Verdict
from commonweal.verification import Report

TOKEN = 10**18  # wei


class Screen:
    """Context manager. On a terminal a table that renews itself, elsewhere a line per event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._names: dict[str, str] = {}  # by provider's address
        self._live: Live | None = None
        self._printed: set[int] = set()

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_progress()

    def name_providers(self, names: dict[str, str]) -> None:
        self._names = names

    def say(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def show_progress(self, follower: Follower) -> None:
        if not self._console.is_terminal:
            self._print_lines(follower)
            return
        table = self._build_progress(follower)
        if self._live is None:
            self._live = Live(table, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(table, refresh=True)

    def end_progress(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print_lines(self, follower: Follower) -> None:
        for round_ in follower.rounds.values():
            if round_.is_over and round_.round not in self._printed:
                self._printed.add(round_.round)
                cells = self._describe(follower, round_)
                text = "round {} {}: {} committed; verified {}; rejected {}; accuracy {}; {}"
                self.say(text.format(*cells))

    def _build_progress(self, follower: Follower) -> Table:
        title = f"Job {follower.job}"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in ("round", "phase", "committed", "verified", "rejected", "accuracy", "time"):
            table.add_column(column)
        for round_ in follower.rounds.values():
            table.add_row(*self._describe(follower, round_))
        return table

    def _describe(self, follower: Follower, round_: RoundProgress) -> list[str]:
        phase = "failed" if round_.failed else "final" if round_.is_over else round_.phase.name
        return [
            str(round_.round),
            phase.lower().replace("_", " "),
            str(len(round_.committed)),
            self._list(follower, round_, Verdict.VERIFIED),
            self._list(follower, round_, *set(Verdict) - {Verdict.VERIFIED}),
            "" if round_.accuracy is None else f"{round_.accuracy:.3f}",
            f"{round_.seconds} s" if round_.is_over else "",
        ]

    def _list(self, follower: Follower, round_: RoundProgress, *verdicts: Verdict) -> str:
        members = [member for member, verdict in round_.verdicts.items() if verdict in verdicts]
        return ", ".join(self._name(follower, member) for member in members) or "–"

    def _name(self, follower: Follower, member: int) -> str:
        return self._names.get(follower.members.get(member, ""), str(member))

    def show_rounds(self, rounds: Sequence[RoundResult]) -> None:
        columns = ["round", "accuracy", "verified", "rejected", "gas", "gas/verified", "time"]
        rows = [
            [
                str(each.round),
                "failed" if each.accuracy is None else f"{each.accuracy:.3f}",
                str(each.verified),
                str(each.rejected),
                f"{each.gas:,}",
                "–"
                if each.gas_per_verified_update is None
                else f"{each.gas_per_verified_update:,}",
                f"{each.seconds} s",
            ]
            for each in rounds
        ]
        self._table("Rounds (accuracy on digits that no node ever saw)", columns, rows)

    def show_providers(self, providers: Sequence[ProviderResult]) -> None:
        columns = ["provider", "committed", "verified", "rejected", "invalid"]
        columns += ["earned", "slashed", "stake"]
        rows = [
            [
                each.name,
                *map(str, (each.committed, each.verified, each.rejected, each.invalid)),
                *map(_format_tokens, (each.earned_wei, each.slashed_wei, each.stake_wei)),
            ]
            for each in providers
        ]
        self._table("Providers (amounts in tokens)", columns, rows)

    def show_money(self, money: Money) -> None:
        rows = [
            ["deposited (stakes and escrow)", f"{money.deposited_wei:,}"],
            ["held by the contracts", f"{money.held_wei:,}"],
            ["paid out (rewards and fees)", f"{money.paid_wei:,}"],
            ["refunded to the requester", f"{money.refunded_wei:,}"],
        ]
        left = money.deposited_wei - money.held_wei - money.paid_wei - money.refunded_wei
        rows.append(["unaccounted for", f"{left:,}"])
        self._table("Money (wei)", ["", "wei"], rows)

    def show_verification(self, report: Report) -> None:
        counts = ", ".join(f"{count} {name}" for name, count in report.counts().items())
        self.say(f"weal verify {report.job}: {len(report.checks)} checks ({counts})")
        for note in report.left_out:
            self.say(f"  left out: {note}")
        first = report.first_broken
        self.say("  verified" if first is None else f"  NOT verified, first broken link: {first}")

    def show_conditions(self, conditions: dict[str, bool]) -> None:
        for text, holds in conditions.items():
            colour = "green" if holds else "red"
            mark = "yes" if holds else "NO"
            self._console.print(f"  [{colour}]{mark:3}[/{colour}] {escape(text)}", highlight=False)

    def _table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)


def _format_tokens(wei: int) -> str:
    return f"{wei / TOKEN:,.2f}" if wei else "0"
