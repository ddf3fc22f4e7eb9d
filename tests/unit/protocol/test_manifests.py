"""Manifests: one encoding each, and everything else refused with its reason."""

from __future__ import annotations

import sys

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from commonweal.adapters.content.dags import list_held
from commonweal.protocol.cids import Cid, InvalidCid, compute_cid, parse_cid
from commonweal.protocol.manifests import (
    MAX_DEPTH,
    MAX_MANIFEST_BYTES,
    CapabilitiesManifest,
    InvalidManifest,
    Manifest,
    ModelManifest,
    UpdateManifest,
    compute_digest,
    decode_manifest,
    digest_of_cid,
    encode_manifest,
    manifest_cid,
)
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel, TrainingSpec
from commonweal.protocol.types import Address

FILE = compute_cid(b"weights", "raw")
BASE = compute_cid(b"base", "dag-cbor")
TRAINER = Address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")

MODEL = ModelManifest(
    weights=str(FILE), parent=str(BASE), job=3, round=7, contributors=bytes(range(32))
)
UPDATE = UpdateManifest(
    payload=str(FILE),
    encoding="fp32",
    base=str(BASE),
    job=3,
    round=7,
    trainer=TRAINER,
    samples=1200,
    metrics={"loss": 0.25, "a": -1.0},
)
SPEC = JobSpec(
    name="digits",
    model=LogisticModel(inputs=64, classes=10),
    training=TrainingSpec(learning_rate=0.1, clip_norm=1.5),
    data=DataSpec(features=(8, 8), classes=10),
)
WITH_VALIDATION = SPEC.model_copy(
    update={
        "data": DataSpec(features=(8, 8), classes=10, validation=str(FILE), share_validation=True)
    }
)
CAPABILITIES = CapabilitiesManifest(
    hardware={"cpu": "x86-64", "cores": 2, "gpus": []}, measured={"gflops": 12.5}
)
WITH_MOMENTS = MODEL.model_copy(update={"optimiser": str(FILE)})
ALL = [MODEL, WITH_MOMENTS, ModelManifest(weights=str(FILE)), UPDATE, SPEC]
ALL += [WITH_VALIDATION, CAPABILITIES]


def _raw(manifest: Manifest) -> dict[str, object]:
    return dict(libipld.decode_dag_cbor(encode_manifest(manifest)))


def _refused(block: bytes) -> str:
    with pytest.raises(InvalidManifest) as caught:
        decode_manifest(block)
    assert caught.value.code == "invalid-manifest"
    return str(caught.value.details["reason"])


@pytest.mark.parametrize("manifest", ALL, ids=lambda manifest: type(manifest).__name__)
def test_round_trip(manifest: Manifest) -> None:
    block = encode_manifest(manifest)
    assert decode_manifest(block) == manifest
    assert encode_manifest(decode_manifest(block)) == block


def test_the_encoding_is_fixed() -> None:
    assert compute_digest(encode_manifest(MODEL)).hex() == (
        "3aa3117d2f98c085ee44b2fb58d3f29a5eb8d2fe454f10be3005624c0db367a5"
    )
    assert compute_digest(encode_manifest(SPEC)).hex() == (
        "e01c0b766fb6453077e152324fd4b8d3185ae695d411d8853af7a96e8d9d81c5"
    )


def test_a_model_without_moments_does_not_speak_of_them() -> None:
    assert "optimiser" not in _raw(MODEL)
    assert _raw(WITH_MOMENTS) == _raw(MODEL) | {"optimiser": FILE.binary}


def test_an_initial_model_has_no_moments() -> None:
    initial = _raw(ModelManifest(weights=str(FILE))) | {"optimiser": FILE.binary}
    assert "initial model" in _refused(libipld.encode_dag_cbor(initial))


def test_libipld_writes_the_same_bytes() -> None:
    fields = {
        "kind": "update", "version": 1, "payload": FILE.binary, "encoding": "fp32",
        "base": BASE.binary, "job": 3, "round": 7, "trainer": bytes.fromhex(TRAINER[2:]),
        "samples": 1200, "metrics": {"loss": 0.25, "a": -1.0},
    }  # fmt: skip
    assert libipld.encode_dag_cbor(fields) == encode_manifest(UPDATE)


@pytest.mark.parametrize("prefix", ["01710010", "01550010"])
def test_an_address_that_looks_like_a_cid_stays_a_byte_string(prefix: str) -> None:
    from eth_utils.address import to_checksum_address

    trainer = Address(to_checksum_address("0x" + prefix + "11" * 16))
    update = UPDATE.model_copy(update={"trainer": trainer})
    block = encode_manifest(update)
    assert b"\x54" + bytes.fromhex(trainer[2:]) in block
    assert decode_manifest(block) == update
    as_link = block.replace(b"\x54" + bytes.fromhex(trainer[2:]),
                            b"\xd8\x2a\x55\x00" + bytes.fromhex(trainer[2:]))  # fmt: skip
    assert _refused(as_link) == "not the canonical encoding"


def test_contributors_that_look_like_a_cid_stay_a_byte_string() -> None:
    contributors = bytes((1, 0x71, 0, 28)) + bytes(28)
    model = MODEL.model_copy(update={"contributors": contributors})
    assert decode_manifest(encode_manifest(model)) == model


def test_a_link_as_text_is_refused() -> None:
    raw = _raw(MODEL) | {"weights": str(FILE)}
    assert _refused(libipld.encode_dag_cbor(raw)) == "not the canonical encoding"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("weights", BASE.binary, "codec raw or dag-pb"),
        ("parent", FILE.binary, "codec dag-cbor"),
        ("weights", b"\x01\x55\x13\x20" + bytes(32), "not a usable link"),
        ("weights", 7, "weights"),
        ("job", -1, "job"),
        ("job", "3", "not the canonical encoding"),
        ("job", 3.0, "not the canonical encoding"),
        ("round", True, "not the canonical encoding"),
        ("contributors", b"short", "contributors"),
        ("kind", "unheard-of", "unknown kind"),
        ("kind", 1, "unknown kind"),
        ("version", 2, "unknown version"),
        ("version", True, "unknown version"),
        ("extra", 1, "extra"),
        ("job", 0, "names its job and round"),
        ("parent", None, "initial model"),
        ("optimiser", None, "not the canonical encoding"),
        ("optimiser", BASE.binary, "codec raw or dag-pb"),
    ],
)
def test_wrong_fields_of_a_model_are_refused(field: str, value: object, reason: str) -> None:
    assert reason in _refused(libipld.encode_dag_cbor(_raw(MODEL) | {field: value}))


@pytest.mark.parametrize("field", ["weights", "job", "contributors", "kind", "version"])
def test_missing_fields_are_refused(field: str) -> None:
    raw = _raw(MODEL)
    del raw[field]
    assert _refused(libipld.encode_dag_cbor(raw))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trainer", b"x" * 19),
        ("trainer", TRAINER),
        ("metrics", {"loss": "low"}),
        ("metrics", {"loss": 1}),
        ("metrics", {str(index): 0.5 for index in range(65)}),
        ("samples", -5),
        ("encoding", ""),
        ("base", None),
    ],
)
def test_wrong_fields_of_an_update_are_refused(field: str, value: object) -> None:
    assert _refused(libipld.encode_dag_cbor(_raw(UPDATE) | {field: value}))


def test_wrong_fields_of_a_spec_are_named() -> None:
    raw = _raw(SPEC)
    raw["model"] = {**raw["model"], "classes": 1}  # type: ignore[dict-item]
    assert "model.logistic.classes" in _refused(libipld.encode_dag_cbor(raw))


def test_a_spec_with_a_default_left_out_is_not_canonical() -> None:
    raw = _raw(SPEC)
    del raw["limits"]
    assert _refused(libipld.encode_dag_cbor(raw)) == "not the canonical encoding"


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\xff",
        b"\xa1\x64kind",  # cut off
        b"\x80",  # a list
        b"\x81" * 100_000,  # nested without end
        b"\xa2\x61a\x01\x61a\x02",  # a key twice
        b"\xa0" + b"\x00",  # something after it
        b"\xbf\xff",  # indefinite length
    ],
    ids=["empty", "break", "cut-off", "list", "deep", "twice", "trailing", "indefinite"],
)
def test_what_is_no_dag_cbor_map_is_refused(block: bytes) -> None:
    assert _refused(block)


@pytest.mark.parametrize("nest", [b"\x81", b"\xa1\x61a", b"\xd8\x2a"], ids=["list", "map", "tag"])
def test_deep_nesting_is_refused_even_with_a_raised_recursion_limit(nest: bytes) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        assert _refused(nest * 100_000 + b"\x01") == "nested too deeply"
    finally:
        sys.setrecursionlimit(limit)


def test_nesting_is_allowed_up_to_the_limit_both_ways() -> None:
    def nest(depth: int) -> CapabilitiesManifest:
        value: object = 1
        for _ in range(depth):
            value = [value]
        return CapabilitiesManifest(hardware={"x": value})

    deepest = nest(MAX_DEPTH - 2)
    assert decode_manifest(encode_manifest(deepest)) == deepest
    with pytest.raises(InvalidManifest, match="nested too deeply"):
        encode_manifest(nest(MAX_DEPTH - 1))


def test_a_longer_integer_is_not_canonical() -> None:
    block = encode_manifest(MODEL).replace(b"\x63job\x03", b"\x63job\x18\x03")
    assert _refused(block)


def test_a_key_out_of_order_is_refused() -> None:
    block = encode_manifest(MODEL)
    swapped = block.replace(b"\x63job\x03", b"").replace(b"\xa7", b"\xa7\x65round\x07", 1)
    assert _refused(swapped)


@pytest.mark.parametrize("bits", ["7ff8000000000000", "7ff0000000000000", "fff0000000000000"])
def test_nan_and_infinity_are_refused(bits: str) -> None:
    block = encode_manifest(UPDATE).replace(
        b"\xfb\x3f\xd0" + bytes(6), b"\xfb" + bytes.fromhex(bits)
    )
    assert block != encode_manifest(UPDATE)
    assert _refused(block) == "not DAG-CBOR"


def test_nan_is_refused_when_encoding() -> None:
    with pytest.raises(InvalidManifest):
        encode_manifest(CapabilitiesManifest(measured={"gflops": float("nan")}))


def test_too_large_is_refused_with_numbers_both_ways() -> None:
    with pytest.raises(InvalidManifest) as caught:
        decode_manifest(bytes(MAX_MANIFEST_BYTES + 1))
    assert caught.value.details["size"] == MAX_MANIFEST_BYTES + 1
    assert caught.value.details["limit"] == MAX_MANIFEST_BYTES
    with pytest.raises(InvalidManifest, match="too large"):
        encode_manifest(CapabilitiesManifest(hardware={"x": "y" * MAX_MANIFEST_BYTES}))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_byte_never_gives_the_same_manifest(data: st.DataObject) -> None:
    block = bytearray(encode_manifest(data.draw(st.sampled_from(ALL))))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    try:
        manifest = decode_manifest(bytes(block))
    except InvalidManifest:
        return
    assert encode_manifest(manifest) == bytes(block)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_refused(block: bytes) -> None:
    assert _refused(block)


def test_digest_and_cid_are_each_others_inverse() -> None:
    digest = compute_digest(encode_manifest(MODEL))
    assert digest_of_cid(manifest_cid(digest)) == digest
    with pytest.raises(InvalidCid):
        digest_of_cid(str(FILE))


@pytest.mark.parametrize(
    "text",
    ["", "x", "bafkqaaa", "../x", "b" * 200, "zdj7Wm", str(Cid("raw", bytes(32)))[:-1], "bafé"],
)
def test_what_is_no_cid_is_refused(text: str) -> None:
    with pytest.raises(InvalidCid):
        parse_cid(text)


def test_version_zero_is_read_and_written_as_version_one() -> None:
    assert str(parse_cid("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")) == (
        "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    )


def test_a_validation_set_is_a_link_so_that_it_is_kept_with_its_job() -> None:
    block = encode_manifest(WITH_VALIDATION)
    assert list_held(compute_cid(block, "dag-cbor"), block) == [FILE]
    data = _raw(WITH_VALIDATION)["data"]
    assert isinstance(data, dict)
    assert data["validation"] == FILE.binary
    as_text = _raw(WITH_VALIDATION) | {"data": data | {"validation": str(FILE)}}
    assert _refused(libipld.encode_dag_cbor(as_text)) == "not the canonical encoding"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"share_validation": True}, "share_validation without a validation set"),
        ({"validation": str(BASE)}, "a file's CID has codec raw or dag-pb"),
        ({"validation": "samples.csv"}, "CID"),
    ],
)
def test_a_validation_set_that_is_none_is_refused(data: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DataSpec.model_validate({"features": [2], "classes": 2} | data)
