"""What an operator asks of the chain outside of jobs: stake, registration, earnings, money out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eth_account.signers.local import LocalAccount

from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.http import open_client
from commonweal.adapters.sign_in import SignIn
from commonweal.adapters.transactions import Receipt, TransactionSender
from commonweal.funding import WHOLE, TooLittleMoney
from commonweal.protocol.events import MemberJoined, ProviderAnnounced, RewardClaimed
from commonweal.protocol.manifests import (
    CapabilitiesManifest,
    compute_digest,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.types import Address, Digest, Member, Role, Wei
from commonweal.verification.evidence import gather
from commonweal.verification.explanations import RoundPay, explain_member
from node_agent.capabilities import measure_capabilities
from node_agent.config import NodeConfig
from node_agent.errors import NoOwnerKey, NotAMember
from node_agent.runtime import Chain, open_key, open_store
from node_agent.sources import Publisher


@dataclass(frozen=True, slots=True)
class JobEarnings:
    job: int
    state: str
    member: int
    stake_wei: Wei
    unclaimed_wei: Wei
    claimed_wei: Wei


def open_owner(config: NodeConfig) -> LocalAccount:
    """Raises NoOwnerKey: a node runs without it, but money needs it."""
    if config.keys.owner is None:
        raise NoOwnerKey("this command needs the owner's key: set keys.owner in the configuration")
    return open_key(config.keys.owner, config.keys.owner_password)


def register(
    chain: Chain, owner: LocalAccount, operator: Address, roles: Role, stake: Wei, endpoint: str
) -> Receipt:
    """Approve the stake and register, in two transactions. Raises TooLittleMoney."""
    sender = chain.sender(owner)
    registry = chain.reader.deployment["ProviderRegistry"]
    head = chain.reader.fetch_head().number
    _require_money(chain, Address(owner.address), stake, head)
    allowance = chain.reader.call("CommonwealToken", "allowance", owner.address, registry, at=head)
    if allowance < stake:
        sender.send(f"approve:{head}:{stake}", "CommonwealToken", "approve", registry, stake)
    found = measure_capabilities(chain.config.declared)
    capabilities = _store_capabilities(chain.config, found)
    arguments = (operator, int(roles), stake, endpoint, capabilities)
    return sender.send(f"register:{head}", "ProviderRegistry", "register", *arguments)


def explain_registration(provider: Address) -> str:
    return (
        f"the owner {provider} needs tokens to stake and coin for gas (on a test network: "
        f"weal fund {provider} --tokens 1000 --eth 1), then: weal-node register --stake 500"
    )


def _require_money(chain: Chain, owner: Address, stake: Wei, at: int) -> None:
    tokens = chain.reader.fetch_balance(owner, at)
    coin = chain.reader.ask(lambda: chain.reader.web3.eth.get_balance(owner))  # type: ignore[arg-type]
    if tokens >= stake and coin:
        return
    lack = "no coin for gas" if tokens >= stake else f"{tokens / WHOLE:g} tokens"
    message = f"the owner {owner} has {lack}; the stake is {stake / WHOLE:g} tokens"
    raise TooLittleMoney(message, tokens_wei=tokens, stake_wei=stake, coin_wei=coin)


def unbond(chain: Chain, owner: LocalAccount, amount: Wei) -> Receipt:
    return _send_once(chain, chain.sender(owner), "unbond", "ProviderRegistry", "unbond", amount)


def withdraw(chain: Chain, owner: LocalAccount) -> Receipt:
    return _send_once(chain, chain.sender(owner), "withdraw", "ProviderRegistry", "withdraw")


def unjail(chain: Chain, owner: LocalAccount) -> Receipt:
    return _send_once(chain, chain.sender(owner), "unjail", "ProviderRegistry", "unjail")


def claim(chain: Chain, payer: LocalAccount, provider: Address) -> list[JobEarnings]:
    """Everything earned goes to the owner, whoever pays the gas; returns what was claimed."""
    due = [item for item in fetch_earnings(chain, provider) if item.unclaimed_wei]
    if due:
        jobs = [item.job for item in due]
        sender = chain.sender(payer)
        _send_once(chain, sender, "claim", "JobBoard", "claim", provider, jobs)
    return due


def release(chain: Chain, payer: LocalAccount, provider: Address) -> list[int]:
    """Unlock the stake of jobs that are over and final; returns their numbers."""
    over = ("COMPLETED", "CANCELLED", "EXHAUSTED")
    ended = [e for e in fetch_earnings(chain, provider) if e.state in over and e.stake_wei]
    return [item.job for item in ended if _release_one(chain, payer, item.job, provider)]


def _release_one(chain: Chain, payer: LocalAccount, job: int, provider: Address) -> bool:
    """False while something of the job can still be appealed: its jurors come from its members."""
    try:
        _send_once(chain, chain.sender(payer), "release", "JobBoard", "release", job, [provider])
    except ContractReverted as error:
        if error.name != "StillAppealable":
            raise
        return False
    return True


def fetch_earnings(chain: Chain, provider: Address) -> list[JobEarnings]:
    reader, head = chain.reader, chain.reader.fetch_head().number
    joined: dict[int, int] = {}
    claimed: dict[int, int] = {}
    for event in reader.fetch_events(reader.deployment.deployed_block, head):
        if isinstance(event, MemberJoined) and event.provider == provider:
            joined[event.job] = event.member
        elif isinstance(event, RewardClaimed) and event.provider == provider:
            claimed[event.job] = claimed.get(event.job, 0) + event.amount
    return [
        JobEarnings(
            job=job,
            state=reader.fetch_job(job, head).state.name,
            member=index,
            stake_wei=(member := _fetch_member(chain, job, index, head)).stake,
            unclaimed_wei=member.credit,
            claimed_wei=Wei(claimed.get(job, 0)),
        )
        for job, index in sorted(joined.items())
    ]


def explain_job(chain: Chain, job: int, found: Sequence[JobEarnings]) -> tuple[RoundPay, ...]:
    """Round by round, of a job in `found`. Raises NotAMember."""
    member = next((item.member for item in found if item.job == job), None)
    if member is None:
        numbers = [item.job for item in found]
        message = f"this provider is no member of job {job}; its jobs: {numbers or 'none'}"
        raise NotAMember(message, job=job, jobs=numbers)
    reader, head = chain.reader, chain.reader.fetch_head().number
    record = gather(reader.fetch_events(reader.deployment.deployed_block, head, job))
    return explain_member(record, member, reader.fetch_job(job, head).quantum)


def fetch_status(chain: Chain, provider: Address, operator: Address) -> dict[str, Any]:
    reader, head = chain.reader, chain.reader.fetch_head()
    account = asdict(reader.fetch_provider(provider, head.number))
    events = reader.fetch_events(reader.deployment.deployed_block, head.number)
    announced = [e for e in events if isinstance(e, ProviderAnnounced) and e.provider == provider]
    return (
        {"registered": account["roles"] != 0}
        | account
        | {
            "operator_of_this_node": operator,
            "operator_gas_wei": reader.ask(lambda: reader.web3.eth.get_balance(operator)),  # type: ignore[arg-type]
            "owner_tokens_wei": reader.fetch_balance(provider, head.number),
            "endpoint": announced[-1].endpoint if announced else None,
            "capabilities": _name_capabilities(announced[-1]) if announced else None,
            "block": head.number,
            "jobs": [asdict(item) for item in fetch_earnings(chain, provider)],
        }
    )


def _name_capabilities(announced: ProviderAnnounced) -> str | None:
    digest = announced.capabilities
    return manifest_cid(digest) if any(digest) else None


def _fetch_member(chain: Chain, job: int, index: int, at: int) -> Member:
    return chain.reader.fetch_members(job, at)[index]


def publish_capabilities(
    chain: Chain, payer: LocalAccount, provider: Address, manifest: CapabilitiesManifest
) -> tuple[str, Receipt]:
    """Pin the manifest, copy it to the coordinators, name it on chain; its CID.

    The endpoint stays what was announced last. The payer is the owner or the operator.
    """
    digest, config = _store_capabilities(chain.config, manifest), chain.config
    cid = manifest_cid(digest)
    with open_client() as client:
        sign_in = SignIn(payer, chain.reader.deployment.rounds_domain, client)
        fetcher = ContentFetcher(open_store(config), list, authorise=sign_in)
        Publisher(fetcher, config.coordinator).publish(cid)
        fetcher.close()
    endpoint = _find_endpoint(chain, provider)
    arguments = (provider, endpoint, bytes(digest))
    sender = chain.sender(payer)
    return cid, _send_once(
        chain, sender, "capabilities", "ProviderRegistry", "announce", *arguments
    )


def _find_endpoint(chain: Chain, provider: Address) -> str:
    head = chain.reader.fetch_head().number
    announced = [
        event.endpoint
        for event in chain.reader.fetch_events(chain.reader.deployment.deployed_block, head)
        if isinstance(event, ProviderAnnounced) and event.provider == provider
    ]
    return announced[-1] if announced else ""


def _store_capabilities(config: NodeConfig, manifest: CapabilitiesManifest) -> Digest:
    store = open_store(config)
    block = encode_manifest(manifest)
    store.pin(store.put_block(block))
    return compute_digest(block)


def _send_once(
    chain: Chain, sender: TransactionSender, name: str, contract: str, function: str, *args: object
) -> Receipt:
    """A command typed again is meant again: the block number makes it another intent."""
    head = chain.reader.fetch_head().number
    return sender.send(f"{name}:{head}:{args!r}"[:200], contract, function, *args)
