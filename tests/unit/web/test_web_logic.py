"""What the page computes by itself, run by Node against the vectors and against the library."""

from __future__ import annotations

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import libipld
import pytest
from eth_utils.crypto import keccak

from commonweal.protocol.cids import compute_cid
from commonweal.protocol.manifests import ModelManifest, UpdateManifest, encode_manifest

ROOT = Path(__file__).parents[3]
LIB = (ROOT / "service" / "web" / "lib").as_uri()
NODE = shutil.which("node")
RAW = str(compute_cid(b"payload", "raw"))
BASE = str(compute_cid(b"base", "dag-cbor"))


def run(script: str, given: Any) -> Any:
    """`script` is the body of a function of `given` and the page's modules; its JSON answer."""
    if NODE is None:
        pytest.skip("no node on the PATH")
    names = ("bytes", "cbor", "cid", "keccak", "merkle")
    imports = "".join(f'import * as {name} from "{LIB}/{name}.js";\n' for name in names)
    program = f"""{imports}
import {{ readFileSync }} from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
const answer = await (async () => {{ {script} }})();
console.log(JSON.stringify(answer));
"""
    command = [NODE, "--input-type=module", "--eval", program]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_keccak_at_every_length_around_a_block() -> None:
    samples = [bytes(i % 251 for i in range(n)) for n in [*range(140), 271, 272, 273, 1000]]
    script = "return given.map((text) => bytes.toHex(keccak.keccak256(bytes.fromHex(text))));"
    digests = run(script, ["0x" + sample.hex() for sample in samples])
    assert digests == ["0x" + keccak(sample).hex() for sample in samples]


def test_the_trees_of_the_vectors() -> None:
    cases = json.loads((ROOT / "tests" / "vectors" / "merkle.json").read_text())["cases"]
    script = """
      return given.map(({ members, digests, scores, root, proofs }) => {
        const leaves = members.map((m, i) => merkle.computeVerdictLeaf(m, digests[i], scores[i]));
        const checked = proofs.map(({ index, proof }) => {
          const update = { member: members[index], digest: digests[index], proof };
          update.score = scores[index];
          const isOther = merkle.checkVerdict({ ...update, score: update.score ^ 1 }, root).ok;
          return [merkle.checkVerdict(update, root).ok, isOther];
        });
        const top = bytes.toHex(merkle.computeRoot(leaves));
        return { leaves: leaves.map(bytes.toHex), root: top, checked };
      });"""
    for case, found in zip(cases, run(script, cases), strict=True):
        assert found["leaves"] == case["leaves"]
        assert found["root"] == case["root"]
        assert found["checked"] == [[True, False]] * len(case["proofs"])


def test_cids_are_written_and_read_like_the_library_does() -> None:
    blocks = [b"", b"a", bytes(range(256)) * 5]
    wanted = [
        str(compute_cid(block, codec))
        for block in blocks
        for codec in ("raw", "dag-pb", "dag-cbor")
    ]
    script = """
      const found = [];
      for (const text of given) for (const codec of ["raw", "dag-pb", "dag-cbor"]) {
        const block = bytes.fromHex(text);
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", block));
        const written = cid.cidOf(codec, digest);
        const right = await cid.checkBlock(written, block);
        const wrong = await cid.checkBlock(written, bytes.concat(block, Uint8Array.of(0)));
        found.push([written, right.ok, right.codec === codec, wrong.ok]);
      }
      return found;"""
    found = run(script, ["0x" + block.hex() for block in blocks])
    assert found == [[text, True, True, False] for text in wanted]


def test_what_is_no_cid_of_ours_is_refused() -> None:
    identity = "bafkqaaa"
    sha512 = "b" + "a" * 60
    script = """return given.map((text) => {
      try { cid.parse(text); return true; } catch { return false; }
    });"""
    texts = [RAW, identity, sha512, "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKEPG1", "", "b!"]
    assert run(script, texts) == [True, False, False, False, False, False]


SHOW = """
  const show = (value) => value instanceof cbor.Link ? { link: value.cid }
    : value instanceof Map ? Object.fromEntries([...value].map(([k, v]) => [k, show(v)]))
    : value instanceof Uint8Array ? { bytes: bytes.toHex(value) }
    : Array.isArray(value) ? value.map(show) : typeof value === "bigint" ? String(value) : value;
"""


def test_manifests_are_read() -> None:
    trainer = "0x52908400098527886E0F7030069857D2E4169EE7"
    update = UpdateManifest(
        payload=RAW,
        encoding="fp32",
        base=BASE,
        job=3,
        round=7,
        trainer=trainer,  # type: ignore[arg-type]
        samples=2**40,
        metrics={"loss": 0.125},
    )
    model = ModelManifest(weights=RAW)
    blocks = [encode_manifest(update), encode_manifest(model)]
    script = SHOW + "return given.map((text) => show(cbor.decode(bytes.fromHex(text))));"
    shown, initial = run(script, ["0x" + block.hex() for block in blocks])
    assert shown["payload"] == {"link": RAW}
    assert shown["base"] == {"link": BASE}
    assert shown["trainer"] == {"bytes": trainer.lower()}
    assert (shown["samples"], shown["metrics"], shown["kind"]) == (2**40, {"loss": 0.125}, "update")
    assert initial["parent"] is None


def test_dag_cbor_of_every_kind_and_width() -> None:
    value = {
        "numbers": [0, 23, 24, 255, 256, 65_536, 2**32, 2**53 - 1, -1, -25, -(2**40)],
        "others": [True, False, None, "ä", 1.5, [], {}],
        "large": 2**60,
    }
    script = SHOW + "return show(cbor.decode(bytes.fromHex(given)));"
    shown = run(script, "0x" + libipld.encode_dag_cbor(value).hex())
    assert shown == value | {"large": str(2**60)}


@pytest.mark.parametrize(
    "block",
    [
        "",
        "1900",  # cut off
        "5f4101ff",  # indefinite length
        "f97e00",  # a half float
        "a10102",  # a key that is no text
        "c11a514b67b0",  # a tag that is no link
        "d82a4101",  # a link without its zero
        "9bffffffffffffffff",  # more items than bytes
        "0000",  # something after the end
        "61ff",  # not UTF-8
        "81" * 40 + "00",  # nested too deeply
    ],
)
def test_what_is_not_dag_cbor_is_refused(block: str) -> None:
    script = (
        """try { cbor.decode(bytes.fromHex(given)); return "read"; } catch { return "refused"; }"""
    )
    assert run(script, "0x" + block) == "refused"


def test_the_digest_on_chain_is_the_manifests_sha256() -> None:
    block = encode_manifest(ModelManifest(weights=RAW))
    script = "return (await cid.checkBlock(given.cid, bytes.fromHex(given.block))).ok;"
    text = str(compute_cid(block, "dag-cbor"))
    assert run(script, {"cid": text, "block": "0x" + block.hex()}) is True
    assert compute_cid(block, "dag-cbor").digest == sha256(block).digest()
