"""Lossy encodings: exact to decode, one byte form each, and everything else refused by reason."""

from __future__ import annotations

import struct
import tracemalloc
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from learning_samples import MODEL, SPEC, random_weights

from commonweal.learning.encoding import (
    InvalidUpdate,
    decode_update,
    encode_update,
    encode_with_feedback,
    update_size,
)
from commonweal.learning.encoding_blocks import MAX_EXPONENT, MIN_EXPONENT, BlockCode
from commonweal.learning.encoding_sparse import FloatCode, SparseCode
from commonweal.learning.weights import Weights, parameter_count, shapes_of
from commonweal.protocol.specs import (
    BlockEncoding,
    CnnModel,
    DataSpec,
    EncodingSpec,
    JobSpec,
    QuantisedTopKEncoding,
    TopKEncoding,
)

LENGTH = parameter_count(shapes_of(MODEL))
LOSSY: list[EncodingSpec] = [
    BlockEncoding(kind="int8", block=128),
    BlockEncoding(kind="int4", block=64),
    TopKEncoding(kind="top-k", one_in=16),
    QuantisedTopKEncoding(kind="top-k-int8", one_in=16),
    QuantisedTopKEncoding(kind="top-k-int4", one_in=32, block=16),
]
each_encoding = pytest.mark.parametrize("encoding", LOSSY, ids=lambda e: e.kind)


def spec_of(encoding: EncodingSpec) -> JobSpec:
    return SPEC.model_copy(update={"encoding": encoding})


def flat(weights: Weights) -> np.ndarray:
    return np.concatenate([weights[name].reshape(-1) for name in sorted(weights)])


def refusal(code: BlockCode | SparseCode, payload: bytes, *count: int) -> str:
    with pytest.raises(InvalidUpdate) as caught:
        code.decode(payload, *count)
    return str(caught.value.details["reason"])


@each_encoding
def test_what_is_decoded_encodes_to_the_same_bytes(encoding: EncodingSpec) -> None:
    spec = spec_of(encoding)
    payload = encode_update(random_weights(0, scale=1e-3), encoding)
    decoded = decode_update(payload, spec)
    assert {n: t.shape for n, t in decoded.items()} == dict(shapes_of(MODEL))
    assert all(tensor.dtype == np.float32 for tensor in decoded.values())
    assert encode_update(decoded, encoding) == payload


@each_encoding
def test_no_valid_payload_is_larger_than_is_fetched(encoding: EncodingSpec) -> None:
    payload = encode_update(random_weights(1), encoding)
    assert len(payload) <= update_size(spec_of(encoding)) < 4 * LENGTH / 3


# Frozen: what one machine decodes every other one must, today and later.
DECODED = {
    "int8": "d99074301c3730c3",
    "int4": "cc74fe5f61df44b1",
    "top-k": "1fab10a0040ab1c7",
    "top-k-int8": "80c6d269eb48655a",
    "top-k-int4": "9ee492b6e93ebd37",
}


@each_encoding
def test_bytes_and_values_are_the_same_on_every_machine(encoding: EncodingSpec) -> None:
    """Deltas made of integers only, so that nothing of the machine's own goes in."""
    sizes = np.arange(LENGTH, dtype=np.int64) * 7919 % 20_011 + 1  # no two alike
    signs = np.where(sizes % 3 == 0, -1, 1)
    values = ((signs * sizes).astype(np.float32) / np.float32(2**14)) * np.float32(0.75)
    delta, start = {}, 0
    for name, shape in shapes_of(MODEL).items():
        size = int(np.prod(shape))
        delta[name] = values[start : start + size].reshape(shape)
        start += size
    payload = encode_update(delta, encoding)
    decoded = flat(decode_update(payload, spec_of(encoding))).astype("<f4").tobytes()
    assert sha256(payload + decoded).hexdigest()[:16] == DECODED[encoding.kind]


@pytest.mark.parametrize(("kind", "parts"), [("int8", 127), ("int4", 7)])
def test_blocks_are_off_by_half_a_step_at_most(kind: str, parts: int) -> None:
    code = BlockCode(8 if kind == "int8" else 4, 64)
    values = np.random.default_rng(0).standard_normal(640).astype(np.float32)
    decoded = code.decode(code.encode(values), 640)
    tops = np.abs(values).reshape(10, 64).max(axis=1)
    errors = np.abs(decoded - values).reshape(10, 64).max(axis=1)
    assert (errors <= tops / parts).all()  # the scale is at most twice the finest


def test_top_k_keeps_the_greatest_values_as_they_are() -> None:
    delta = random_weights(0)
    encoding = TopKEncoding(kind="top-k", one_in=16)
    decoded = flat(decode_update(encode_update(delta, encoding), spec_of(encoding)))
    kept = np.flatnonzero(decoded)
    assert len(kept) == -(-LENGTH // 16)
    np.testing.assert_array_equal(decoded[kept], flat(delta)[kept])
    left = np.delete(np.abs(flat(delta)), kept)
    assert left.max() <= np.abs(decoded[kept]).min()


def test_fifty_times_smaller_than_float32_is_reached() -> None:
    spec = JobSpec(
        name="cnn",
        model=CnnModel(shape=(1, 28, 28), channels=(16, 32, 136, 288), classes=10),
        data=DataSpec(features=(784,), classes=10),
        encoding=QuantisedTopKEncoding(kind="top-k-int8", one_in=32),
    )
    raw = 4 * parameter_count(shapes_of(spec.model))
    assert raw / update_size(spec) > 60
    fine = spec.model_copy(update={"encoding": QuantisedTopKEncoding(kind="top-k-int4", one_in=64)})
    assert raw / update_size(fine) > 150


@each_encoding
def test_a_delta_of_zeros_has_a_form(encoding: EncodingSpec) -> None:
    spec = spec_of(encoding)
    payload = encode_update(random_weights(0, scale=0.0), encoding)
    assert not flat(decode_update(payload, spec)).any()


@each_encoding
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_encoded(encoding: EncodingSpec, bad: float) -> None:
    delta = random_weights(0)
    delta["output.bias"][3] = bad
    with pytest.raises(InvalidUpdate) as caught:
        encode_update(delta, encoding)
    assert caught.value.details["reason"] == "not-finite"


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_what_is_out_of_range_is_not_encoded(kind: str) -> None:
    delta = random_weights(0)
    delta["output.bias"][3] = 3.4e38
    with pytest.raises(InvalidUpdate) as caught:
        encode_update(delta, BlockEncoding(kind=kind))
    assert caught.value.details["reason"] == "range"


@each_encoding
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_are_refused_or_are_the_one_form_of_an_update(
    encoding: EncodingSpec, data: st.DataObject
) -> None:
    """A valid payload with some bytes changed, cut or added."""
    spec = spec_of(encoding)
    payload = bytearray(encode_update(random_weights(2, scale=0.01), encoding))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1) | st.integers(0, 40))
        payload[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([0, 0, 0, -1, -7, 1]))
    changed = bytes(payload[:cut]) if cut < 0 else bytes(payload) + b"\0" * cut
    try:
        decoded = decode_update(changed, spec)
    except InvalidUpdate:
        return
    assert np.isfinite(flat(decoded)).all()
    assert encode_update(decoded, encoding) == changed


@each_encoding
@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=400))
def test_garbage_is_refused(encoding: EncodingSpec, garbage: bytes) -> None:
    try:
        decoded = decode_update(garbage, spec_of(encoding))
    except InvalidUpdate:
        return
    assert encode_update(decoded, encoding) == garbage


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(2, 3000),
    one_in=st.integers(2, 400),
    bits=st.sampled_from([8, 4]),
    seed=st.integers(0, 2**32),
)
def test_sparse_vectors_of_any_size_come_back(
    length: int, one_in: int, bits: int, seed: int
) -> None:
    code = SparseCode(length, -(-length // one_in), BlockCode(bits, 16, without_zero=True))
    generator = np.random.default_rng(seed)
    vector = generator.standard_normal(length).astype(np.float32)
    vector[generator.random(length) < generator.random()] = 0
    payload = code.encode(vector)
    decoded = code.decode(payload)
    kept = np.flatnonzero(decoded)
    assert len(kept) == min(code.most, np.count_nonzero(vector))
    assert (np.sign(decoded[kept]) == np.sign(vector[kept])).all()
    assert code.encode(decoded) == payload
    assert len(payload) == code.size(len(kept)) <= code.largest


@settings(max_examples=100, deadline=None)
@given(length=st.integers(1, 300), most=st.integers(1, 300), bits=st.sampled_from([8, 4]))
@example(length=19, most=10, bits=4)  # nine values take a byte more than ten
def test_the_largest_payload_is_the_largest(length: int, most: int, bits: int) -> None:
    most = min(most, length)
    for values in (FloatCode(), BlockCode(bits, 16, without_zero=True)):
        code = SparseCode(length, most, values)
        assert code.largest == max(code.size(count) for count in range(most + 1))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100), max_size=70))
def test_blocks_of_any_values_come_back(values: list[float]) -> None:
    vector = np.array(values, np.float32)
    for code in (BlockCode(8, 16), BlockCode(4, 16)):
        payload = code.encode(vector)
        decoded = code.decode(payload, len(vector))
        assert len(payload) == code.size(len(vector))
        assert code.encode(decoded) == payload


INT8, INT4 = BlockCode(8, 4), BlockCode(4, 4)


def scaled(exponent: int, *integers: int) -> bytes:
    return struct.pack(f"{1 + len(integers)}b", exponent, *integers)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (scaled(MAX_EXPONENT + 1, 127, 0, 0, 0), "scale"),
        (scaled(MIN_EXPONENT - 1, 127, 0, 0, 0), "scale"),
        (scaled(0, -128, 0, 0, 0), "value"),
        (scaled(0, 63, -63, 0, 0), "canonical"),
        (scaled(0, 0, 0, 0, 0), "canonical"),
    ],
)
def test_blocks_that_the_encoder_would_not_write(payload: bytes, reason: str) -> None:
    assert refusal(INT8, payload, 4) == reason


def test_the_least_scale_holds_what_is_smaller_still() -> None:
    assert INT8.decode(scaled(MIN_EXPONENT, 1, 0, 0, 0), 4)[0] == 2.0**MIN_EXPONENT
    assert INT8.decode(scaled(MAX_EXPONENT, 127, 0, 0, -127), 4)[3] == -127 * 2.0**MAX_EXPONENT


@pytest.mark.parametrize(
    ("packed", "reason"),
    [(b"\x00\x84\x00", "value"), (b"\x00\x32\x03", "canonical"), (b"\x00\x74\x10", "canonical")],
)
def test_nibbles_that_the_encoder_would_not_write(packed: bytes, reason: str) -> None:
    """−8; a finer scale would do; a fourth nibble where there are three values."""
    assert refusal(INT4, packed, 3) == reason


def sparse(count: int, unary: int, lows: int, *values: float) -> bytes:
    """Of 16 places at most four: with two values three low bits each, with one four."""
    return struct.pack(f"<IBB{len(values)}f", count, unary, lows, *values)


SPARSE = SparseCode(16, 4, FloatCode())


def test_a_sparse_payload_by_hand() -> None:
    """Places 3 and 9: high parts 0 and 1, so ones at 0 + 0 and 1 + 1; low parts 3 and 1."""
    payload = sparse(2, 0b101, 0b001_011, 0.5, -2.0)
    vector = SPARSE.decode(payload)
    assert np.flatnonzero(vector).tolist() == [3, 9]
    assert vector[[3, 9]].tolist() == [0.5, -2.0]
    assert SPARSE.encode(vector) == payload


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x00\x00", "size"),
        (sparse(5, 0b101, 0, 1, 1, 1, 1, 1), "count"),
        (sparse(2**32 - 1, 0b101, 0), "count"),
        (sparse(2, 0b101, 0b001_011, 0.5), "size"),
        (sparse(2, 0b101, 0b001_011, 0.5, 1.0, 1.0), "size"),
        (sparse(2, 0b011, 0b011_011, 0.5, 1.0), "indices"),  # twice the same
        (sparse(2, 0b011, 0b001_011, 0.5, 1.0), "indices"),  # 3, then 1
        (sparse(2, 0b111, 0b001_011, 0.5, 1.0), "indices"),  # three positions
        (sparse(2, 0b001, 0b001_011, 0.5, 1.0), "indices"),  # one position
        (sparse(2, 0b1101, 0b001_011, 0.5, 1.0), "canonical"),  # beyond the last high part
        (sparse(2, 0b101, 0b1_001_011, 0.5, 1.0), "canonical"),
        (sparse(2, 0b101, 0b001_011, 0.5, 0.0), "value"),
        (sparse(2, 0b101, 0b001_011, 0.5, -0.0), "value"),
        (sparse(2, 0b101, 0b001_011, 0.5, float("nan")), "not-finite"),
        (sparse(2, 0b101, 0b001_011, float("inf"), 1.0), "not-finite"),
    ],
)
def test_sparse_payloads_that_lie(payload: bytes, reason: str) -> None:
    assert refusal(SPARSE, payload) == reason


def test_a_position_beyond_the_model_is_refused() -> None:
    """13 places, two values, two low bits: the greatest position that fits the bits is 15."""
    code = SparseCode(13, 4, FloatCode())
    assert refusal(code, struct.pack("<IBB2f", 2, 0b10001, 0b11_00, 1.0, 1.0)) == "indices"


def test_a_lying_count_costs_nothing() -> None:
    code = SparseCode(50_000_000, 2_000_000, BlockCode(8, 64, without_zero=True))
    tracemalloc.start()
    assert refusal(code, struct.pack("<I", 2_000_000) + b"\xff" * 1000) == "size"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@each_encoding
def test_feedback_sends_late_what_an_encoding_left_out(encoding: EncodingSpec) -> None:
    """A constant delta over many rounds: what was sent in all is what was to be sent, nearly."""
    spec, rounds = spec_of(encoding), 64
    delta, residual = random_weights(3, scale=0.01), None
    sent = np.zeros(LENGTH)
    for _ in range(rounds):
        payload, residual = encode_with_feedback(delta, residual, spec)
        sent += flat(decode_update(payload, spec))
    assert residual is not None
    np.testing.assert_allclose(sent + flat(residual), rounds * flat(delta), atol=1e-4)
    off = np.linalg.norm(sent / rounds - flat(delta)) / np.linalg.norm(flat(delta))
    once = flat(decode_update(encode_update(delta, encoding), spec))
    assert off < 0.5 * np.linalg.norm(once - flat(delta)) / np.linalg.norm(flat(delta))


def test_nothing_is_left_out_of_float32() -> None:
    payload, residual = encode_with_feedback(random_weights(0), None, SPEC)
    assert payload == encode_update(random_weights(0), SPEC.encoding)
    assert residual is None
