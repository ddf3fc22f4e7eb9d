"""Deploys the contracts from the bytecode in this package. No Node, no compiler.

They name one another as immutables, some before they exist, so their addresses are predicted from
the deployer's nonce, and each is checked as it comes into being.
"""

from __future__ import annotations

from dataclasses import astuple

import structlog
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.types import Nonce, TxParams, TxReceipt
from web3.utils import get_create_address

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.codec import encode_constructor
from commonweal.adapters.deployment import CONTRACTS, Deployment, load_artifact
from commonweal.adapters.failover import connect
from commonweal.adapters.raw_transactions import (
    fetch_nonce,
    sign_transaction,
    wait_for_receipt,
)
from commonweal.adapters.transactions import MAX_GAS
from commonweal.errors import Conflict, Unavailable
from commonweal.protocol.types import Address, Bps, ProtocolParameters, Wei

log = structlog.get_logger(__name__)

TOKEN = 10**18  # wei
LOCAL_SUPPLY = 1_000_000_000 * TOKEN
_DAY = 86_400
_ADMIN_ROLE = 0
_GUARDIAN_ROLE = 1
_TIMEOUT = 300.0  # seconds for one transaction to be mined


class AddressUnexpected(Conflict):
    """Something else used the deployer's key meanwhile; nothing usable came of this attempt."""

    code = "address-unexpected"


class DeploymentFailed(Unavailable):
    code = "deployment-failed"


def local_parameters(treasury: Address) -> ProtocolParameters:
    """Short delays, for a chain on one machine."""
    return ProtocolParameters(
        treasury=treasury,
        unbonding_period=3_600,
        appeal_window=600,
        unjail_delay=600,
        fee_grace=30,
        min_window=1,
        max_window=7 * _DAY,
        unrevealed_slash_bps=Bps(100),
        invalid_slash_bps=Bps(500),
        absent_slash_bps=Bps(100),
        equivocation_slash_bps=Bps(5_000),
        bounty_bps=Bps(1_000),
        bounty_cap=Wei(100 * TOKEN),
        max_missed_duties=3,
    )


def public_parameters(treasury: Address) -> ProtocolParameters:
    """For a network of strangers: time to notice a fault, to appeal, and to come back."""
    return ProtocolParameters(
        treasury=treasury,
        unbonding_period=14 * _DAY,
        appeal_window=7 * _DAY,
        unjail_delay=_DAY,
        fee_grace=600,
        min_window=30,
        max_window=7 * _DAY,
        unrevealed_slash_bps=Bps(100),
        invalid_slash_bps=Bps(500),
        absent_slash_bps=Bps(100),
        equivocation_slash_bps=Bps(5_000),
        bounty_bps=Bps(1_000),
        bounty_cap=Wei(100 * TOKEN),
        max_missed_duties=3,
    )


def deploy(
    rpc_url: str,
    account: LocalAccount,
    *,
    parameters: ProtocolParameters | None = None,
    token: Address | None = None,
    admin: Address | None = None,
    admin_delay: int = 0,
    guardian: Address | None = None,
) -> Deployment:
    """Deploys everything with `account`, which needs the chain's coin for gas.

    Without `token`, a new one, all of it held by `account`. `admin` (default: `account`) may
    publish parameters, `admin_delay` seconds after it announced them. `guardian` (default: `admin`)
    may pause and resume the entry of newcomers, at once.
    Raises AddressUnexpected, DeploymentFailed, ContractReverted.
    """
    deployer = Address(account.address)
    rules = parameters or local_parameters(deployer)
    reader = _plan(rpc_url, deployer, token)
    for name in _compute_order(token):
        _create(reader, account, name, _compute_arguments(reader.deployment, name, deployer, rules))
    _appoint_guardian(reader, account, guardian or admin or deployer)
    _appoint_admin(reader, account, admin or deployer, admin_delay)
    return reader.deployment


def _compute_order(token: Address | None) -> list[str]:
    return [name for name in CONTRACTS if name != "CommonwealToken" or token is None]


def _plan(rpc_url: str, deployer: Address, token: Address | None) -> ChainReader:
    web3 = connect(rpc_url)
    nonce = web3.eth.get_transaction_count(to_checksum_address(deployer), "pending")
    contracts = {
        name: _predict_address(deployer, nonce + at)
        for at, name in enumerate(_compute_order(token))
    }
    if token is not None:
        contracts["CommonwealToken"] = token
    return ChainReader(rpc_url, Deployment(web3.eth.chain_id, web3.eth.block_number, contracts))


def _predict_address(deployer: Address, nonce: int) -> Address:
    return Address(get_create_address(to_checksum_address(deployer), Nonce(nonce)))


def _compute_arguments(
    at: Deployment, name: str, deployer: Address, parameters: ProtocolParameters
) -> tuple[object, ...]:
    if name == "CommonwealToken":
        return (deployer, LOCAL_SUPPLY)
    if name == "AccessManager":
        return (deployer,)
    if name == "Parameters":
        return (at["AccessManager"], astuple(parameters))
    return tuple(at[other] for other in _REFERENCES[name])


_REFERENCES = {
    "ProviderRegistry": ("CommonwealToken", "Parameters", "JobBoard", "Faults", "Appeals"),
    "JobBoard": ("CommonwealToken", "ProviderRegistry", "Parameters", "Rounds", "Appeals"),
    "ModelLedger": ("Rounds",),
    "Rounds": ("JobBoard", "ModelLedger", "Parameters", "Appeals"),
    "Faults": ("ProviderRegistry", "JobBoard", "Rounds", "ModelLedger", "Parameters"),
    "Appeals": (
        "CommonwealToken",
        "ProviderRegistry",
        "JobBoard",
        "Rounds",
        "ModelLedger",
        "Faults",
        "Parameters",
    ),
    "RoundLens": ("Rounds", "JobBoard"),
}


def _create(
    reader: ChainReader, account: LocalAccount, name: str, args: tuple[object, ...]
) -> None:
    data = bytes(HexBytes(load_artifact(name)["bytecode"])) + encode_constructor(name, args)
    receipt = _send(reader, account, data, None)
    created, expected = str(receipt["contractAddress"]), reader.deployment[name]
    if created != expected:
        message = f"{name} came to {created}, not to {expected}: is the key used elsewhere?"
        raise AddressUnexpected(message, have=created, need=expected)
    log.info("contract deployed", contract=name, address=expected, gas=receipt["gasUsed"])


def _appoint_guardian(reader: ChainReader, account: LocalAccount, guardian: Address) -> None:
    selectors = [
        reader.encode("Parameters", function)[1][:4] for function in ("pauseEntry", "resumeEntry")
    ]
    target = reader.deployment["Parameters"]
    _call_manager(reader, account, "setTargetFunctionRole", target, selectors, _GUARDIAN_ROLE)
    _call_manager(reader, account, "grantRole", _GUARDIAN_ROLE, guardian, 0)


def _appoint_admin(reader: ChainReader, account: LocalAccount, admin: Address, delay: int) -> None:
    """The admin role, and nobody else's: the deployer's own ends here if it is not the admin."""
    deployer = Address(account.address)
    if delay or admin != deployer:
        _call_manager(reader, account, "grantRole", _ADMIN_ROLE, admin, delay)
    if admin != deployer:
        _call_manager(reader, account, "renounceRole", _ADMIN_ROLE, deployer)


def _call_manager(reader: ChainReader, account: LocalAccount, function: str, *args: object) -> None:
    to, data = reader.encode("AccessManager", function, *args)
    _send(reader, account, data, to)


def _send(reader: ChainReader, account: LocalAccount, data: bytes, to: Address | None) -> TxReceipt:
    call: TxParams = {"from": account.address, "data": data}
    if to is not None:
        call["to"] = to
    gas = reader.ask(lambda: reader.web3.eth.estimate_gas(call))
    nonce = fetch_nonce(reader, Address(account.address))
    signed = sign_transaction(reader, account, nonce, min(gas * 12 // 10, MAX_GAS), data, to)
    reader.ask(lambda: reader.web3.eth.send_raw_transaction(signed.raw_transaction))
    receipt = wait_for_receipt(reader, bytes(signed.hash), _TIMEOUT)
    if receipt is None or receipt["status"] == 0:
        message = f"transaction {signed.hash.hex()} was not mined as it should"
        raise DeploymentFailed(message, tx=signed.hash.hex())
    return receipt
