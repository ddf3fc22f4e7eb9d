"""What only the embedded store promises: durability, room, garbage, damage, several processes."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from content_samples import file_node, pattern

from commonweal.adapters.content.car import choose_links, stream_car, stream_held
from commonweal.adapters.content.dags import MAX_LINKS
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import ContentCorrupt, ContentNotFound, StoreFull
from commonweal.adapters.content.unixfs import CHUNK_BYTES
from commonweal.protocol.cids import compute_cid, parse_cid
from commonweal.protocol.manifests import ModelManifest, encode_manifest


def _files(path: Path) -> list[Path]:
    return [
        file
        for name in ("blocks", "incoming")
        for file in (path / name).rglob("*")
        if file.is_file()
    ]


def _used(path: Path) -> int:
    return int((path / "used-bytes").read_text())


def test_garbage_goes_and_what_a_manifest_pins_stays(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    weights = store.put(pattern(2 * CHUNK_BYTES + 1))
    model = store.put_block(encode_manifest(ModelManifest(weights=weights)))
    loose = store.put_block(b"\xa0")
    store.pin(model)
    store.unpin(weights)
    assert store.collect_garbage(grace_seconds=0) == 1
    assert store.has(model)
    assert not store.has(loose)
    store.unpin(model)
    assert store.collect_garbage(grace_seconds=0) > 2 * CHUNK_BYTES
    assert _files(tmp_path) == []
    assert _used(tmp_path) == 0


def test_the_grace_keeps_what_was_just_put(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    cid = store.put_block(b"\xa0")
    os.utime(store._blocks.path_of(compute_cid(b"\xa0", "dag-cbor")), (1, 1))
    store.put_block(b"\xa0")  # put again: counts as new
    assert store.collect_garbage() == 0
    assert store.has(cid)


def test_pins_and_blocks_outlive_the_store(tmp_path: Path) -> None:
    cid = EmbeddedStore(tmp_path).put(b"kept")
    store = EmbeddedStore(tmp_path)
    store.collect_garbage(grace_seconds=0)
    assert store.get(cid, max_bytes=4) == b"kept"


def test_garbage_collection_survives_an_incomplete_pin(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    cid = store.put(pattern(CHUNK_BYTES + 1))
    store._blocks.path_of(compute_cid(pattern(CHUNK_BYTES), "raw")).unlink()
    store.collect_garbage(grace_seconds=0)
    assert not store.has(cid)
    assert len(_files(tmp_path)) == 2


def test_a_damaged_block_is_found_and_can_be_put_again(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    cid = store.put(b"true")
    store._blocks.path_of(compute_cid(b"true", "raw")).write_bytes(b"fake")
    with pytest.raises(ContentCorrupt):
        store.get(cid, max_bytes=4)
    with pytest.raises(ContentNotFound):
        store.get(cid, max_bytes=4)
    store.put_block(b"true", "raw")
    assert store.get(cid, max_bytes=4) == b"true"


def test_the_quota_refuses_with_numbers_and_leaves_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, max_bytes=CHUNK_BYTES + 100)
    kept = store.put(b"kept")
    with pytest.raises(StoreFull) as caught:
        store.put(pattern(3 * CHUNK_BYTES))
    assert caught.value.details == {
        "need": CHUNK_BYTES,
        "used": CHUNK_BYTES + 4,
        "limit": CHUNK_BYTES + 100,
    }
    assert [file.name for file in _files(tmp_path)] == [kept]
    assert _used(tmp_path) == 4
    store.put(pattern(CHUNK_BYTES))


def test_the_disks_reserve_is_left_free(tmp_path: Path) -> None:
    here = EmbeddedStore(tmp_path).put(b"here")
    free = shutil.disk_usage(tmp_path).free
    store = EmbeddedStore(tmp_path, reserve_bytes=2 * free)
    with pytest.raises(StoreFull) as caught:
        store.put(b"more")
    assert (caught.value.details["need"], caught.value.details["reserve"]) == (4, 2 * free)
    assert store.put(b"here") == here
    assert store.compute_fill() == 1.0
    EmbeddedStore(tmp_path, reserve_bytes=free // 2).put(b"more")


def test_putting_what_is_here_needs_no_room(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, max_bytes=4)
    assert store.put(b"four") == store.put(b"four")


def test_a_failed_put_keeps_blocks_that_others_hold(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, max_bytes=CHUNK_BYTES + 10)
    shared = store.put(pattern(CHUNK_BYTES))
    with pytest.raises(StoreFull):
        store.put(pattern(3 * CHUNK_BYTES))
    assert store.get(shared, max_bytes=CHUNK_BYTES) == pattern(CHUNK_BYTES)


def _mount_small(path: Path) -> bool:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_really_full_disk_is_store_full_and_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not _mount_small(disk):
        pytest.skip("left out: a tmpfs cannot be mounted here; the file size limit is tested")
    try:
        store = EmbeddedStore(disk)
        kept = store.put(b"kept")
        with pytest.raises(StoreFull) as caught:
            store.put(pattern(4 * CHUNK_BYTES))
        assert caught.value.details["need"] == CHUNK_BYTES
        assert caught.value.details["free"] < CHUNK_BYTES
        assert [file.name for file in _files(disk)] == [kept]
        assert store.get(kept, max_bytes=4) == b"kept"
        assert store.put(pattern(CHUNK_BYTES // 2))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_write_cut_off_by_the_system_is_store_full_and_leaves_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK_BYTES // 2, hard))
    try:
        with pytest.raises(StoreFull) as caught:
            store.put(pattern(CHUNK_BYTES))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.details["need"] == CHUNK_BYTES
    assert _files(tmp_path) == []


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path).put(b"x")
    (tmp_path / "incoming" / "half").write_bytes(b"half")
    (tmp_path / "used-bytes").write_text("999".zfill(20))
    EmbeddedStore(tmp_path)
    assert not (tmp_path / "incoming" / "half").exists()
    assert _used(tmp_path) == 1


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    files = [pattern(CHUNK_BYTES + 3)] * 4 + [bytes([index]) * 1000 for index in range(12)]
    with ThreadPoolExecutor(8) as pool:
        cids = list(pool.map(store.put, files))
        pool.submit(store.collect_garbage, grace_seconds=0).result()
    assert [store.get(cid, max_bytes=2 * CHUNK_BYTES) for cid in cids] == files
    assert _used(tmp_path) == sum(file.stat().st_size for file in _files(tmp_path))


WRITER = """
    import sys
    from pathlib import Path
    from commonweal.adapters.content.embedded import EmbeddedStore

    store = EmbeddedStore(Path(sys.argv[1]))
    for index in range(60):
        cid = store.put(b"shared %d" % index)
        store.put(sys.argv[2].encode() + b"%d" % index)
        store.collect_garbage(grace_seconds=0)
        assert store.get(cid, max_bytes=99) == b"shared %d" % index
"""


def test_two_processes_share_a_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    writers = [
        subprocess.Popen([*command, name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name in ("a", "b")
    ]
    errors = [writer.communicate(timeout=60)[1].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    store = EmbeddedStore(tmp_path)
    assert len(_files(tmp_path)) == 60 + 120
    assert all(store.has(file.name) for file in (tmp_path / "blocks").rglob("b*") if file.is_file())
    assert _used(tmp_path) == sum(file.stat().st_size for file in _files(tmp_path))


def test_a_node_with_unreadable_links_is_not_had(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    cid = store.put_block(file_node([])[:-1], "dag-pb")
    assert not store.has(cid)
    with pytest.raises(ContentCorrupt):
        store.pin(cid)


def test_a_pinned_block_with_too_many_links_stops_neither_readers_nor_collection(
    tmp_path: Path,
) -> None:
    """As a store may hold it from the time when any number was taken."""
    store = EmbeddedStore(tmp_path)
    kept, link = store.put(b"kept"), compute_cid(b"x", "raw")
    bad = store.put_block(file_node([(link, 1)] * (MAX_LINKS + 1)), "dag-pb")
    (tmp_path / "pins" / bad).touch()
    loose = store.put_block(b"loose", "raw")
    assert not store.has(bad)
    with pytest.raises(ContentCorrupt):
        list(stream_car(store, parse_cid(bad), choose_links("all")))
    assert len(list(stream_held(store, [parse_cid(bad), parse_cid(kept)]))) == 2
    assert store.collect_garbage(grace_seconds=0) == len(b"loose")
    assert (store.has(kept), store.has(loose)) == (True, False)
    store.unpin(bad)
    assert store.collect_garbage(grace_seconds=0) > 0
