"""For every file of proofs a contract with a planted bug, which one of its proofs must refute."""

from tests.contracts.planted.mutants import Mutant

PLANTED = (
    Mutant(
        name="damages are paid that were never taken",
        file="contracts/ProviderRegistry.sol",
        find="paid = Math.min(taken, damage);",
        replace="paid = damage;",
        tests=("tests/proofs/Slashes.t.sol::check_damages_are_paid_out_of_what_was_taken",),
    ),
    Mutant(
        name="the fee is paid on top of the escrow",
        file="contracts/JobBoard.sol",
        find="_credit(record, payments) * quantum + fee;",
        replace="_credit(record, payments) * quantum;",
        tests=("tests/proofs/Escrow.t.sol::check_what_is_paid_leaves_the_escrow",),
    ),
    Mutant(
        name="the trainers' pool is not reduced by the fee",
        file="contracts/libraries/Payments.sol",
        find="price - validatorPool - split.fee;",
        replace="price - validatorPool;",
        tests=("tests/proofs/Rewards.t.sol::check_the_pools_and_the_fee_are_the_price",),
    ),
    Mutant(
        name="the round is not signed",
        file="contracts/libraries/CompactSignatures.sol",
        find="mstore(add(at, 0x40), round)\n            mstore(add(at, 0x60), word)",
        replace="mstore(add(at, 0x40), job)\n            mstore(add(at, 0x60), word)",
        tests=("tests/proofs/Signatures.t.sol::check_no_two_slots_share_a_digest",),
    ),
)
