from __future__ import annotations

import hashlib
import json

import pytest

from knowmvg.core.errors import ManifestError
from knowmvg.sources.splits.assign import ByLists
from knowmvg.sources.splits.id_lists import hashed_id, list_digest, read_id_lists, read_salt
from knowmvg.sources.splits.names import Unit
from tests.sources.data_folders import row

IDS = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
WANTED = {"a": "train", "b": "train", "c": "val", "d": "test"}


def written(folder, form):
    if form == "json":
        (folder / "lists.json").write_text(json.dumps(IDS))
        return [str(folder / "lists.json")]
    if form == "folder":
        for split, ids in IDS.items():
            (folder / f"{split}.txt").write_text("\n".join(ids))
        return [str(folder)]
    if form == "windows":
        sources = []
        for split, ids in IDS.items():
            (folder / f"{split}.list").write_bytes(b"\xef\xbb\xbf# mine\r\n\r\n" + "\r\n".join(ids).encode() + b"\r\n")
            sources.append(f"{split}={folder / f'{split}.list'}")
        return sources
    for split, ids in IDS.items():
        (folder / f"{split}.json").write_text(json.dumps(ids))
    return [f"{split}={folder / f'{split}.json'}" for split in IDS]


@pytest.mark.parametrize("form", ["json", "folder", "windows", "arrays"])
def test_every_form_is_read(form, tmp_path):
    assert dict(read_id_lists(written(tmp_path, form)).ids) == WANTED


def test_numbers_are_ids(tmp_path):
    (tmp_path / "lists.json").write_text('{"train": [10000032], "test": ["10000033"]}')
    assert dict(read_id_lists([str(tmp_path / "lists.json")]).ids) == {"10000032": "train", "10000033": "test"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JSON"),
        (b"[1]", "train, val and test"),
        (b'{"train": ["a"], "dev": ["b"]}', "train, val and test"),
        (b'{"train": "a"}', "str for train"),
        (b'{"train": [1.5]}', "train, entry 1"),
        (b'{"train": [true]}', "train, entry 1"),
        (b'{"train": [""]}', "train, entry 1"),
        (b'{"train": ["a", "a\\u0000b"]}', "train, entry 2"),
        (b'{"train": ["a"], "test": ["a"]}', "in train .* and test"),
        (b'{"train": []}', "none in the files"),
        (b'{"train": ["\xff"]}', "no UTF-8 text"),
        (b"[" * 100_000, "JSON"),
        (b'{"schema": "knowmvg.splits/2"}', "another one"),
        (b'{"schema": "knowmvg.splits/1"}', "a gap"),
        (b'{"schema": "knowmvg.splits/1", "unit": "study", "splits": []}', "a gap"),
    ],
)
def test_junk_is_refused_with_its_place(content, words, tmp_path):
    path = tmp_path / "lists.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=words) as caught:
        read_id_lists([str(path)])
    assert "lists" in str(caught.value)


@pytest.mark.parametrize("source", ["gone.json", "list.txt", "train=gone.txt", "dev=list.txt"])
def test_a_source_that_says_no_split_or_is_missing_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a\n")
    with pytest.raises(ManifestError):
        read_id_lists([source])


def test_a_list_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("knowmvg.sources.splits.id_lists.MAX_LIST_BYTES", 3)
    (tmp_path / "l.txt").write_text("abcd")
    with pytest.raises(ManifestError, match="more in"):
        read_id_lists([f"train={tmp_path / 'l.txt'}"])


ROWS = [
    row("s1", "p1", image="files/p10/x1.dcm.png"),
    row("s2", "p1", image="files/p10/x2.png"),
    row("s3", "p2", image="files/p11/x3.png"),
]


@pytest.mark.parametrize(
    ("ids", "unit", "splits"),
    [
        ({"p1": "train", "p2": "test"}, Unit.PATIENT, ["train", "train", "test"]),
        ({"s1": "train", "s2": "val", "s3": "test"}, Unit.STUDY, ["train", "val", "test"]),
        ({"x1": "train", "x2": "val", "x3": "test"}, Unit.IMAGE, ["train", "val", "test"]),
        ({"x1.dcm.png": "test", "files/p10/x2.png": "val", "x3.png": "val"}, Unit.IMAGE, ["test", "val", "val"]),
    ],
)
def test_what_the_ids_name_is_found_out(ids, unit, splits, tmp_path):
    (tmp_path / "l.json").write_text(json.dumps({s: [k for k, v in ids.items() if v == s] for s in IDS}))
    division = ByLists(read_id_lists([str(tmp_path / "l.json")]))
    split_of = division.learn(ROWS)
    assert division.unit is unit
    assert [split_of(one) for one in ROWS] == splits


def lists_of(tmp_path, content):
    (tmp_path / "l.json").write_text(json.dumps(content))
    return read_id_lists([str(tmp_path / "l.json")])


def test_rows_in_no_list_are_refused_or_go_where_they_are_told(tmp_path):
    lists = lists_of(tmp_path, {"train": ["p1", "p9"]})
    with pytest.raises(ManifestError, match="1 of 3 in none, by patient"):
        ByLists(lists).learn(ROWS)
    division = ByLists(lists, rest="test")
    assert [division.learn(ROWS)(one) for one in ROWS] == ["train", "train", "test"]
    assert division.unknown == 1
    assert ByLists(lists, rest="").learn(ROWS)(ROWS[2]) == ""


def test_lists_of_another_data_set_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="none in the lists"):
        ByLists(lists_of(tmp_path, {"train": ["q"]}), rest="test").learn(ROWS)
    with pytest.raises(ManifestError, match="none in the lists"):
        ByLists(lists_of(tmp_path, {"train": ["p1"]}), Unit.STUDY, rest="test").learn(ROWS)


def test_the_digest_is_that_of_the_file():
    assert list_digest(["b", "a"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    assert list_digest([]) == hashlib.sha256(b"").hexdigest()


def test_hashed_ids_hang_on_the_salt(tmp_path):
    assert hashed_id("10000032", b"a" * 16) != hashed_id("10000032", b"b" * 16)
    (tmp_path / "salt.txt").write_text("short\n")
    with pytest.raises(ManifestError, match="16"):
        read_salt(tmp_path / "salt.txt")
