"""The evidence store: what is put is there under its hash, whole or not at all, redacted, bounded, and opens again."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import orjson
import pytest

from parkwarden.model import Capture, EvidenceItem, LimitError, Secret, StoreError, UsageError
from parkwarden.store import evidence as evidence_module
from parkwarden.store.evidence import ORPHAN_S, EvidenceStore
from parkwarden.store.settings import DAY_S, StoreSettings

NOW = 1_700_000_000.0


def plain(_kind: str, body: bytes) -> tuple[bytes, int]:
    return body.replace(b"secret", b"******"), body.count(b"secret")


def capture(body: bytes = b"goroutine 1 [running]:\n", **fields: object) -> Capture:
    values = {"instance": "a:1", "service": "shop", "kind": "goroutine-dump", "at": NOW, "why": "goroutine-trend"}
    return Capture(**{"body": body, "file": "shop.goroutine.txt", **values, **fields})  # type: ignore[arg-type]


def store(folder: Path, **settings: object) -> EvidenceStore:
    return EvidenceStore(folder / "evidence", plain, StoreSettings(**settings))  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "evidence").rglob("*") if path.is_file())


def test_what_is_put_can_be_opened(tmp_path: Path) -> None:
    """An item comes back with its bytes, through a store opened anew too; its digest is that of the redacted bytes."""
    item = store(tmp_path).put(capture(b"a secret " * 1000, site_ids=("s1",)), {"env": "prod"})
    assert (item.bytes, item.redacted, item.labels) == (9000, 1000, {"env": "prod"})
    assert item.stored_bytes < 200
    again = store(tmp_path)
    assert again.list() == [item]
    assert again.open(item.digest[:10]) == (item, b"a ****** " * 1000)
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "evidence").rglob("*.zst"))


def test_the_same_bytes_are_one_item(tmp_path: Path) -> None:
    """Putting again is no second file and no second item; it answers with the first."""
    kept = store(tmp_path)
    item = kept.put(capture())
    assert kept.put(capture(at=NOW + 5)) == item
    assert store(tmp_path).put(capture(at=NOW + 9)) == item
    assert len(files(tmp_path)) == 2


def test_lists_are_filtered_newest_first(tmp_path: Path) -> None:
    """By service, instance and time."""
    kept = store(tmp_path)
    for n in range(4):
        kept.put(capture(b"%d" % n, at=NOW + n, service=f"s{n % 2}", instance=f"i{n}"))
    assert [item.at - NOW for item in kept.list()] == [3, 2, 1, 0]
    assert [item.instance for item in kept.list(service="s1", since=NOW + 2)] == ["i3"]
    assert [item.instance for item in kept.list(instance="i0")] == ["i0"]


def test_names_lead_nowhere(tmp_path: Path) -> None:
    """A file name from outside keeps no path, no leading dot and no odd characters."""
    item = store(tmp_path).put(capture(file="../../..\\etc/.pass wd\n\x1b[31m.txt.gz"))
    assert item.file == "pass_wd_31m.txt"
    assert store(tmp_path).put(capture(b"x", file="")).file == "goroutine-dump"


@pytest.mark.parametrize("digest", ["", "ab", "../../etc/passwd", "zz" * 32, "0" * 64])
def test_an_unknown_digest_is_told(tmp_path: Path, digest: str) -> None:
    """What is no digest, too short or not there is a typed error."""
    kept = store(tmp_path)
    kept.put(capture())
    with pytest.raises(UsageError) as unknown:
        kept.open(digest)
    assert unknown.value.code == "evidence-unknown"


def test_an_ambiguous_prefix_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix that several digests have asks for more digits."""
    monkeypatch.setattr(evidence_module, "MIN_PREFIX", 0)
    kept = store(tmp_path)
    kept.put(capture(b"1"))
    kept.put(capture(b"2"))
    with pytest.raises(UsageError) as unclear:
        kept.find("")
    assert unclear.value.code == "evidence-ambiguous"


@pytest.mark.parametrize("damage", [b"", b"\x28\xb5\x2f\xfd garbage", b"x" * 1000])
def test_damaged_bytes_are_never_shown(tmp_path: Path, damage: bytes) -> None:
    """A file whose content is no longer what its name says is a typed error."""
    kept = store(tmp_path)
    item = kept.put(capture())
    next((tmp_path / "evidence").rglob("*.zst")).write_bytes(damage)
    with pytest.raises(StoreError) as damaged:
        kept.open(item.digest)
    assert damaged.value.code == "evidence-damaged"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """Somebody deleted the bytes but not the description."""
    kept = store(tmp_path)
    item = kept.put(capture())
    next((tmp_path / "evidence").rglob("*.zst")).unlink()
    with pytest.raises(StoreError) as missing:
        kept.open(item.digest)
    assert missing.value.code == "evidence-missing"


def test_a_damaged_description_costs_one_item(tmp_path: Path) -> None:
    """A description that is torn, of another digest or of odd types is passed over and counted."""
    kept = store(tmp_path)
    items = [kept.put(capture(b"%d" % n)) for n in range(4)]
    paths = [tmp_path / "evidence" / item.digest[:2] / f"{item.digest}.json" for item in items]
    paths[1].write_bytes(b'{"digest":')
    paths[2].write_bytes(paths[0].read_bytes())
    paths[3].write_bytes(b'{"digest": 5, "site_ids": 7}')
    again = store(tmp_path)
    (paths[0].parent / f".tmp-1-1-{paths[0].name}").write_bytes(b"half")  # of a put that was killed: no item, no damage
    assert again.list() == [items[0]]
    assert again.damaged == 3


def test_a_crash_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the bytes and their description: the item is not there, putting again completes it; what stays is swept."""
    kept = store(tmp_path)

    write = evidence_module._Folder.write

    def killed(folder: evidence_module._Folder, name: str, data: bytes) -> None:
        if name.endswith(".json"):
            raise KeyboardInterrupt
        write(folder, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(evidence_module._Folder, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.put(capture())
    assert len(files(tmp_path)) == 1
    assert store(tmp_path).list() == []
    store(tmp_path).prune(NOW)
    assert len(files(tmp_path)) == 1
    for path in (tmp_path / "evidence").rglob("*.zst"):
        os.utime(path, (path.stat().st_mtime - ORPHAN_S - 60,) * 2)
    store(tmp_path).prune(NOW)
    assert files(tmp_path) == []
    item = kept.put(capture())
    assert store(tmp_path).list() == [item]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room: a typed, passing error, no file left behind; the same put succeeds later."""
    kept = store(tmp_path)

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(evidence_module.os, "fsync", full)
        with pytest.raises(StoreError) as told:
            kept.put(capture())
    assert (told.value.code, told.value.passing) == ("disk-full", True)
    assert files(tmp_path) == []
    kept.put(capture())
    assert len(files(tmp_path)) == 2


def test_pruning_by_age_number_and_bytes(tmp_path: Path) -> None:
    """The oldest go first; what open incidents point to stays, however old."""
    kept = store(tmp_path, evidence_days=1, evidence_max_items=3)
    items = [kept.put(capture(os.urandom(100), at=NOW + n)) for n in range(6)]
    assert kept.prune(NOW + 10, {items[0].digest}) == [item.digest for item in items[1:4]]
    assert [item.at - NOW for item in kept.list()] == [5, 4, 0]
    assert len(files(tmp_path)) == 6
    small = store(tmp_path, evidence_max_bytes=250)
    assert small.prune(NOW + 10) == [items[0].digest]
    assert store(tmp_path, evidence_days=1).prune(NOW + 2 * DAY_S, {items[5].digest}) == [items[4].digest]
    assert store(tmp_path).list() == [items[5]]


def test_a_wrong_store_is_told_without_its_secrets(tmp_path: Path) -> None:
    """A URL nobody knows, or a store that does not answer, is typed; credentials are in no text."""
    settings = StoreSettings(evidence_options=(("key", Secret("hunter2")),))
    for url in ("nosuch://bucket/x", "memory+odd://x"):
        with pytest.raises(StoreError) as wrong:
            EvidenceStore(url, plain, settings).list()
        assert wrong.value.code == "evidence-url"
        assert "hunter2" not in f"{wrong.value} {wrong.value.context} {wrong.value.hint} {settings!r}"


def test_any_file_system_of_fsspec_will_do() -> None:
    """The same calls on fsspec's memory file system: put, list, open, prune."""
    settings = StoreSettings(evidence_max_items=1)
    kept = EvidenceStore("memory://parkwarden-test", plain, settings)
    first = kept.put(capture(b"one", at=NOW))
    second = kept.put(capture(b"two", at=NOW + 1))
    again = EvidenceStore("memory://parkwarden-test", plain, settings)
    assert again.list() == [second, first]
    assert again.open(first.digest) == (first, b"one")
    assert again.prune(NOW) == [first.digest]
    assert EvidenceStore("memory://parkwarden-test", plain).list() == [second]
    again.prune(NOW + 99 * DAY_S)
    assert isinstance(second, EvidenceItem)
    assert EvidenceStore("memory://parkwarden-test", plain).list() == []


def test_threads_may_put_at_once(tmp_path: Path) -> None:
    """The same and different bytes from several threads: one item each, no temporary file left, no descriptor leaked."""
    kept = store(tmp_path)
    kept.put(capture(b"warm"))
    before = len(os.listdir("/proc/self/fd"))
    threads = [threading.Thread(target=lambda n=n: kept.put(capture(b"%d" % (n % 5)))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept.list()) == 6
    assert len(files(tmp_path)) == 12
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_redacted_is_not_kept(tmp_path: Path) -> None:
    """A body beyond a reader's limit (a bomb) is refused for good: typed, not passing, nothing on the disk."""

    def bomb(_kind: str, _body: bytes) -> tuple[bytes, int]:
        raise LimitError("profile-too-big", "too big")

    kept = EvidenceStore(tmp_path / "evidence", bomb)
    with pytest.raises(StoreError) as refused:
        kept.put(capture())
    assert (refused.value.code, refused.value.passing) == ("evidence-refused", False)
    assert not (tmp_path / "evidence").exists()


def test_only_its_owner_may_look(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask is and whoever owns what is above."""
    before = os.umask(0)
    try:
        store(tmp_path).put(capture())
    finally:
        os.umask(before)
    modes = {path.is_dir(): oct(path.stat().st_mode & 0o777) for path in (tmp_path / "evidence").rglob("*")}
    assert modes == {True: "0o700", False: "0o600"}
    assert oct((tmp_path / "evidence").stat().st_mode & 0o777) == "0o700"


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """A folder that holds other things too loses none of them to the sweeping."""
    others = [tmp_path / "evidence" / name for name in ("de/messages.json", "ab/notes.txt", f"zz/{'a' * 64}.zst")]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_text("somebody's")
        os.utime(path, (1, 1))
    kept = store(tmp_path)
    item = kept.put(capture())
    assert kept.prune(NOW) == []
    assert kept.damaged == 0
    assert all(path.read_text() == "somebody's" for path in others)
    assert kept.list() == [item]


def test_a_folder_that_somebody_sent(tmp_path: Path) -> None:
    """Links, pipes, endless or odd descriptions are damaged items: none is followed, waited for, or upsets a listing."""
    item = store(tmp_path).put(capture())
    described = tmp_path / "evidence" / item.digest[:2] / f"{item.digest}.json"
    said = orjson.loads(described.read_bytes())
    odd: list[dict[str, object]] = [
        {"bytes": "1"}, {"stored_bytes": 1.5}, {"service": {}}, {"site_ids": [1]}, {"site_ids": 7}, {"labels": {"a": 1}}, {"labels": 7}, {"at": []},
    ]  # fmt: skip
    for number, change in enumerate(odd):
        digest = str(number) * 64
        path = tmp_path / "evidence" / digest[:2] / f"{digest}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(orjson.dumps({**said, "digest": digest, **change}))
    folder = tmp_path / "evidence" / "ff"
    folder.mkdir()
    (folder / f"{'f' * 64}.json").symlink_to("/dev/zero")
    os.mkfifo(folder / f"{'f' * 63}0.json")
    (folder / f"{'f' * 63}1.json").write_bytes(b" " * (2 << 20) + b"{}")
    (tmp_path / "evidence" / "ee").symlink_to(folder)
    kept = store(tmp_path)
    assert kept.list() == [item]
    assert kept.damaged == len(odd) + 3
    assert kept.prune(NOW) == []
    blob = described.with_suffix(".zst")
    blob.unlink()
    blob.symlink_to("/etc/hostname")
    with pytest.raises(StoreError):
        kept.open(item.digest)
