import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from protocol_vectors import load_vectors, unhex

from commonweal.protocol.merkle import (
    NoSuchLeaf,
    compute_contributors,
    compute_proof,
    compute_proofs,
    compute_root,
    compute_verdict_leaf,
    is_proven,
)

trees = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)


@pytest.mark.parametrize(
    "case", load_vectors("merkle")["cases"], ids=lambda case: f"{len(case['leaves'])} leaves"
)
def test_trees(case):
    leaves = [
        compute_verdict_leaf(member, unhex(digest), score)
        for member, digest, score in zip(
            case["members"], case["digests"], case["scores"], strict=True
        )
    ]
    assert leaves == [unhex(leaf) for leaf in case["leaves"]]
    assert compute_root(leaves) == unhex(case["root"])
    assert compute_contributors(leaves) == unhex(case["contributors"])
    for proven in case["proofs"]:
        proof = [unhex(node) for node in proven["proof"]]
        assert list(compute_proof(leaves, proven["index"])) == proof
        assert is_proven(unhex(case["root"]), leaves[proven["index"]], proof)


@given(trees, st.data())
def test_every_leaf_is_proven_and_no_other(leaves, data):
    root = compute_root(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = compute_proof(leaves, index)
    assert is_proven(root, leaves[index], proof)
    other = keccak(leaves[index])
    assert not is_proven(root, other, proof)
    assert len(leaves) == 1 or not is_proven(root, leaves[index], proof[:-1])


@given(trees)
def test_all_proofs_at_once_are_those_of_each_leaf(leaves):
    assert compute_proofs(leaves) == [compute_proof(leaves, at) for at in range(len(leaves))]


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_a_leaf_outside(index):
    with pytest.raises(NoSuchLeaf):
        compute_proof([bytes(32)] * 3, index)


def test_no_leaves_have_no_root():
    with pytest.raises(NoSuchLeaf):
        compute_root([])
