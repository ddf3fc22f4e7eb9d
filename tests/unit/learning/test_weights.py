import json
import struct
import subprocess
import sys
import tracemalloc
from hashlib import sha256

import numpy as np
import pytest
import safetensors.numpy
from learning_samples import HALF, MODEL, SPEC, random_weights

from commonweal.learning.encoding import (
    InvalidUpdate,
    compute_delta,
    decode_update,
    encode_update,
    update_size,
)
from commonweal.learning.weights import (
    InvalidWeights,
    decode_weights,
    encode_weights,
    encoded_size,
    hash_weights,
    initial_weights,
    shapes_of,
)
from commonweal.protocol.specs import CnnModel, LimitsSpec, LogisticModel

SHAPES = shapes_of(MODEL)


def rewrite(data: bytes, change) -> bytes:
    """The same file with its header changed, the length word kept true."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def change(name, field, value):
    return lambda header: header[name].update({field: value})


def test_shapes_are_in_ascending_order_for_every_family():
    cnn = CnnModel(shape=(1, 8, 8), channels=(4, 6), classes=3)
    assert shapes_of(cnn) == {
        "conv00.bias": (4,),
        "conv00.weight": (4, 1, 3, 3),
        "conv01.bias": (6,),
        "conv01.weight": (6, 4, 3, 3),
        "output.bias": (3,),
        "output.weight": (3, 24),
    }
    logistic = shapes_of(LogisticModel(inputs=5, classes=2))
    assert list(logistic.items()) == [("output.bias", (2,)), ("output.weight", (2, 5))]
    assert list(SHAPES) == sorted(SHAPES)


def test_initial_weights_depend_on_the_seed_alone():
    first, again, other = (encode_weights(initial_weights(MODEL, s)) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_bytes_are_what_the_safetensors_library_writes():
    weights = random_weights(0)
    data = encode_weights(weights)
    assert data == safetensors.numpy.save(weights)
    assert data == encode_weights(dict(reversed(weights.items())))
    assert len(data) == encoded_size(SHAPES, "F32")


def test_the_hash_of_a_model_is_that_of_its_bytes():
    weights = random_weights(0)
    strided = {name: np.repeat(tensor, 2, axis=-1)[..., ::2] for name, tensor in weights.items()}
    for same in (weights, dict(reversed(weights.items())), strided):
        assert hash_weights(same) == sha256(encode_weights(weights)).digest()


def test_round_trip_is_exact():
    weights = random_weights(0)
    decoded = decode_weights(encode_weights(weights), SHAPES)
    assert list(decoded) == list(SHAPES)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(decoded[name], tensor)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (change("output.bias", "dtype", "F64"), "dtype"),
        (change("output.bias", "dtype", "F16"), "dtype"),
        (change("output.bias", "shape", [2**40, 2**20]), "shape"),
        (change("output.weight", "shape", [16, 10]), "shape"),
        (change("output.bias", "data_offsets", [0, 2**62]), "offsets"),
        (change("output.bias", "data_offsets", [0, 40]), "offsets"),
        (change("output.bias", "data_offsets", [-40, 0]), "offsets"),
        (lambda header: header.pop("output.bias"), "tensors"),
        (lambda header: header.update(more={"dtype": "F32"}), "tensors"),
        (lambda header: header.update(__metadata__={"a": "b"}), "tensors"),
        (lambda header: header.update({"output.bias": [1]}), "dtype"),
        (lambda header: header.update({"hidden00.bias": header.pop("hidden00.bias")}), "header"),
    ],
)
def test_a_lying_header_is_refused(lie, reason):
    data = rewrite(encode_weights(random_weights(0)), lie)
    with pytest.raises(InvalidWeights) as caught:
        decode_weights(data, SHAPES)
    assert caught.value.details["reason"] == reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        b"\x80\x04\x95" + b"x" * 50,
    ],
)
def test_what_is_no_safetensors_file_is_refused(data):
    with pytest.raises(InvalidWeights) as caught:
        decode_weights(data, SHAPES)
    assert caught.value.details["reason"] == "header"


def test_a_huge_header_costs_no_more_than_itself():
    lists = b"[" + b"[]," * 3_000_000 + b"[]]"
    data = struct.pack("<Q", len(lists)) + lists
    tracemalloc.start()
    with pytest.raises(InvalidWeights) as caught:
        decode_weights(data, SHAPES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.details["reason"] == "header"
    assert peak < len(data)


@pytest.mark.parametrize("cut", [-1, -4, -4000])
def test_a_truncated_file_is_refused(cut):
    data = encode_weights(random_weights(0))
    with pytest.raises(InvalidWeights) as caught:
        decode_weights(data[:cut], SHAPES)
    assert caught.value.details == {
        "reason": "size",
        "have": len(data) + cut,
        "want": len(data),
    }


def test_bytes_after_the_end_are_refused():
    with pytest.raises(InvalidWeights):
        decode_weights(encode_weights(random_weights(0)) + b"\0", SHAPES)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_refused_on_both_sides(bad):
    weights = random_weights(0)
    weights["output.bias"][3] = bad
    with pytest.raises(InvalidWeights, match=r"output\.bias"):
        encode_weights(weights)
    with pytest.raises(InvalidUpdate):
        decode_update(safetensors.numpy.save(weights), SPEC)


def test_half_precision_halves_the_payload_and_rounds_to_nearest():
    delta = random_weights(0)
    payload = encode_update(delta, HALF.encoding)
    assert len(payload) == update_size(HALF) < 0.55 * update_size(SPEC)
    decoded = decode_update(payload, HALF)
    for name, tensor in delta.items():
        np.testing.assert_array_equal(decoded[name], tensor.astype(np.float16).astype(np.float32))


def test_half_precision_refuses_what_it_cannot_hold():
    with pytest.raises(InvalidUpdate) as caught:
        encode_update(random_weights(0, scale=1e6), HALF.encoding)
    assert caught.value.details["reason"] == "not-finite"


def test_an_update_of_another_precision_or_size_is_refused():
    payload = encode_update(random_weights(0), SPEC.encoding)
    with pytest.raises(InvalidUpdate):
        decode_update(payload, HALF)
    small = SPEC.model_copy(update={"limits": LimitsSpec(max_update_bytes=100)})
    with pytest.raises(InvalidUpdate) as caught:
        decode_update(payload, small)
    assert caught.value.details == {"reason": "too-large", "have": len(payload), "limit": 100}


def test_a_delta_needs_two_models_of_one_shape():
    parent, new = random_weights(0), random_weights(1)
    delta = compute_delta(new, parent)
    np.testing.assert_array_equal(delta["output.bias"], new["output.bias"] - parent["output.bias"])
    with pytest.raises(InvalidUpdate):
        compute_delta({**new, "output.bias": np.zeros(3, np.float32)}, parent)


def test_the_exact_path_never_imports_torch():
    code = (
        "import sys, commonweal.learning.aggregation, commonweal.learning.encoding,"
        " commonweal.learning.weights, commonweal.learning.data, commonweal.learning.training,"
        " commonweal.learning.models, commonweal.learning.scoring;"
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
