"""tests/contracts/support/ProtocolHarness.sol on a local node, asked through eth_call."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from web3.contract import Contract

from commonweal.adapters.failover import connect
from commonweal.adapters.local_chain import find_hardhat
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address

PROJECT = Path(__file__).parents[3]
SOURCE = "tests/contracts/support/ProtocolHarness.sol"
_CALL_GAS = 2**24  # what one call may use at most


class Harness:
    """The contract's functions, each given a list of cases of any length."""

    def __init__(self, rpc_url: str) -> None:
        web3 = connect(rpc_url, timeout=120)
        artifact = _compile()
        account = web3.eth.accounts[0]
        factory = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        receipt = web3.eth.wait_for_transaction_receipt(
            factory.constructor().transact({"from": account})
        )
        self.address = Address(str(receipt["contractAddress"]))
        self.domain = Domain(web3.eth.chain_id, self.address)
        self._contract: Contract = web3.eth.contract(self.address, abi=artifact["abi"])

    def ask(self, function: str, cases: Sequence[Any], per_call: int) -> Iterator[Any]:
        """One answer per case; `cases` are the tuples of the function's struct."""
        outputs = len(self._contract.get_function_by_name(function).abi["outputs"])
        for at in range(0, len(cases), per_call):
            answer = self._call(function, list(cases[at : at + per_call]))
            yield from zip(*answer, strict=True) if outputs > 1 else answer

    def draw_from(
        self, board: Address, job: int, size: int, seeds: Sequence[bytes], per_call: int = 100
    ) -> Iterator[tuple[int, ...]]:
        """The committees that the board draws."""
        for at in range(0, len(seeds), per_call):
            page = list(seeds[at : at + per_call])
            yield from map(tuple, self._call("drawFrom", board, job, size, page))

    def _call(self, function: str, *args: Any) -> Any:
        return self._contract.get_function_by_name(function)(*args).call({"gas": _CALL_GAS})


def _compile() -> Any:
    """Kept in the cache folder under a hash of all that goes into it."""
    compiler = Path(__file__).with_name("compile.mjs")
    sources = sorted(PROJECT.glob("contracts/**/*.sol"))
    settings = [PROJECT / "hardhat.config.js", PROJECT / "package-lock.json"]
    inputs = [PROJECT / SOURCE, compiler, *settings, *sources]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs))
    kept = PROJECT / "cache" / "harness" / f"{digest.hexdigest()[:16]}.json"
    if not kept.is_file():
        node = find_hardhat(PROJECT)[0]
        command = [node, str(compiler), SOURCE]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
        assert done.returncode == 0, done.stderr
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(done.stdout)
    return json.loads(kept.read_text())
