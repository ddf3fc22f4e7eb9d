"""The planted bugs: at least one for each invariant, which must go red for it."""

from .mutants import Mutant

INVARIANTS = "tests/contracts/invariants/Invariants.t.sol"
NAMES = (
    "invariant_1_solvent_to_the_wei",
    "invariant_2_slashes_are_bounded_and_touch_nobody_else",
    "invariant_3_exit_waits_and_is_never_stuck",
    "invariant_4_escrow_is_conserved",
    "invariant_5_rewards_within_the_budget_and_once",
    "invariant_6_one_secret_ballot_per_seat",
    "invariant_7_phases_move_on_and_never_back",
    "invariant_8_signatures_count_once_and_here",
    "invariant_9_no_authority_over_a_round_in_flight",
    "invariant_10_nobody_makes_others_pay",
)


def _twin(invariant: int, name: str, file: str, find: str, replace: str) -> Mutant:
    test = f"{INVARIANTS}::{NAMES[invariant - 1]}"
    return Mutant(f"{invariant}: {name}", f"contracts/{file}", find, replace, (test,))


TWINS: tuple[Mutant, ...] = (
    _twin(
        1,
        "the treasury gets the bounty too",
        "ProviderRegistry.sol",
        "uint256 toTreasury = held.amount - bounty;",
        "uint256 toTreasury = held.amount;",
    ),
    _twin(
        1,
        "a lost bond is given to winner and treasury alike",
        "Appeals.sol",
        "_award(appeal, _rulesOf(its.job).treasury, bond - half);",
        "_award(appeal, _rulesOf(its.job).treasury, bond);",
    ),
    _twin(
        2,
        "what is unbonding escapes a slash",
        "ProviderRegistry.sol",
        "Math.min(amount - fromFree, provider.unbonding)",
        "Math.min(amount - fromFree, 0)",
    ),
    _twin(
        2,
        "one fault is punished as often as it is proven",
        "Faults.sol",
        "_proven[job][round][member] = proven | bit;",
        "",
    ),
    _twin(
        2,
        "attesters are slashed by the stake of another",
        "Appeals.sol",
        "Member memory attester = board.memberOf(its.job, members[seat]);",
        "Member memory attester = board.memberOf(its.job, 0);",
    ),
    _twin(
        3,
        "stake leaves before its time",
        "ProviderRegistry.sol",
        "if (block.timestamp < provider.withdrawableAt)"
        " revert NotYet(block.timestamp, provider.withdrawableAt);",
        "",
    ),
    _twin(
        3,
        "a slash into locked stake keeps the rest of it locked",
        "ProviderRegistry.sol",
        "uint128 freed = uint128(Math.min(amount, known.locked));",
        "uint128 freed = uint128(amount);",
    ),
    _twin(
        4,
        "a fee is credited, and stays in the escrow",
        "JobBoard.sol",
        "record.escrow = uint128(escrow - spent);",
        "record.escrow = uint128(escrow - spent + fee);",
    ),
    _twin(
        4,
        "what was refunded can be refunded again",
        "JobBoard.sol",
        "        record.escrow = 0;",
        "",
    ),
    _twin(
        5,
        "what was claimed can be claimed again",
        "Rewards.sol",
        "record.credits[member >> 3] = (word & ~(LANE << shift)) | (1 << shift);",
        "word;",
    ),
    _twin(
        5,
        "a seat is paid whatever its ballot was worth",
        "libraries/Payments.sol",
        "split.seatPool * Packed.uint16At(shares, seat) / BPS / split.quantum",
        "split.seatPool / split.quantum",
    ),
    _twin(
        6,
        "a seat may seal a second ballot",
        "Ballots.sol",
        "if (Bitmaps.has(header.ballotsCommitted, seat)) revert BallotAlreadyCommitted(seat);",
        "",
    ),
    _twin(
        6,
        "a ballot is opened while others may still seal theirs",
        "Ballots.sol",
        "Header memory header = _enter(job, round, Phase.BallotReveal);",
        "Header memory header = _load(job);"
        " if (header.phase < Phase.BallotCommit) revert RoundWrong(job, round, header.round);",
    ),
    _twin(
        6,
        "a ballot is bound to another seat's member",
        "Ballots.sol",
        "Commitments.compute(preimage, Committees.memberAt(committee, seat), hash",
        "Commitments.compute(preimage,"
        " Committees.memberAt(committee, (seat + 1) % header.seats), hash",
    ),
    _twin(
        7,
        "a round that nobody finalises never ends",
        "RoundProgress.sol",
        "if (header.phase == Phase.Attest && (abandoned || !header.agreed)) {",
        "if (header.phase == Phase.Attest && !header.agreed) {",
    ),
    _twin(
        7,
        "ballots are sealed after the deadline",
        "Ballots.sol",
        "Header memory header = _enterInTime(job, round, Phase.BallotCommit);",
        "Header memory header = _enter(job, round, Phase.BallotCommit);",
    ),
    _twin(
        8,
        "an offer works again",
        "JobBoard.sol",
        "isOfferUsed[requester][nonce] = true;",
        "",
    ),
    _twin(
        8,
        "a fork of the chain takes the same messages",
        "RoundStore.sol",
        "return block.chainid == _chainId ? _domainAtHome"
        " : CompactSignatures.domainOf(address(this));",
        "return _domainAtHome;",
    ),
    _twin(
        9,
        "a slash follows the newest rules",
        "Faults.sol",
        "return parameters.parametersAt(board.jobOf(job).parametersVersion);",
        "return parameters.parametersAt(parameters.currentVersion());",
    ),
    _twin(
        9,
        "anybody locks anybody's stake",
        "ProviderRegistry.sol",
        "function lock(address provider, uint256 amount) external onlyBoard {",
        "function lock(address provider, uint256 amount) external {",
    ),
    _twin(
        9,
        "a pause keeps matured stake in",
        "ProviderRegistry.sol",
        "if (amount == 0) revert NothingToWithdraw(msg.sender);",
        "if (amount == 0) revert NothingToWithdraw(msg.sender); parameters.requireEntryOpen();",
    ),
    _twin(
        10,
        "a prover whom the token refuses holds up the treasury",
        "ProviderRegistry.sol",
        "uint256 bounty = token.tryPush(held.prover, held.bounty) ? held.bounty : 0;",
        "uint256 bounty = held.bounty; token.push(held.prover, bounty);",
    ),
    _twin(
        10,
        "leaving walks over the whole roster",
        "Membership.sol",
        "record.roster[member].active = false;",
        "for (uint256 i = 0; i < record.members; ++i) assert(record.roster[i].stake != 1);"
        " record.roster[member].active = false;",
    ),
)
