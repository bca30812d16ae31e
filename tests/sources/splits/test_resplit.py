from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from knowmvg.core.errors import ManifestError
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.manifest import read_rows
from tests.sources.data_folders import boxed, row, splits_of, write_folder


def rows(n=40, split="train"):
    return [
        row(f"s{k}-{place}", f"p{k}", split, report="Text.", phrases=(boxed("edema" if k % 4 else "nodule"),))
        for k in range(n)
        for place in range(1 + k % 3)
    ]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "data", rows(), images=False)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_and_the_lists_agree(folder, capsys):
    assert main(["splits", str(folder), "--ratio", "7:1:2", "--seed", "4"]) == 0
    patients = {one.patient: one.split for one in read_rows(folder)}
    assert Counter(patients.values()) == {"train": 28, "val": 4, "test": 8}
    told = json.loads((folder / "splits.json").read_text())
    for split in ("train", "val", "test"):
        listed = (folder / "splits" / f"{split}.txt").read_text().split()
        assert listed == sorted(p for p, where in patients.items() if where == split)
        assert (
            told["splits"][split]["sha256"]
            == hashlib.sha256((folder / "splits" / f"{split}.txt").read_bytes()).hexdigest()
        )
        assert told["splits"][split]["patients"] == told["splits"][split]["ids"] == len(listed)
    assert told["manifest_sha256"] == hashlib.sha256((folder / "manifest.jsonl").read_bytes()).hexdigest()
    assert (told["kind"], told["unit"], told["shares"], told["seed"]) == ("shares", "patient", "7:1:2", 4)
    out = capsys.readouterr().out
    assert "28" in out
    assert "not a medical device" in out


def test_nothing_but_the_split_is_changed(folder):
    before = list(read_rows(folder))
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    after = list(read_rows(folder))
    assert [one.model_copy(update={"split": ""}) for one in before] == [
        one.model_copy(update={"split": ""}) for one in after
    ]


def test_the_published_lists_give_the_same_division_in_any_order(folder, tmp_path):
    assert main(["splits", str(folder), "--ratio", "7:1:2", "--seed", "4", "--stratify"]) == 0
    other = write_folder(tmp_path / "other", reversed(rows(split="")), images=False)
    assert main(["splits", str(other), "--ids", str(folder / "splits.json")]) == 0
    assert splits_of(other) == splits_of(folder)
    assert (other / "splits" / "test.txt").read_bytes() == (folder / "splits" / "test.txt").read_bytes()


def test_a_published_list_that_was_changed_is_refused(folder, tmp_path, capsys):
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    with (folder / "splits" / "test.txt").open("a") as stream:
        stream.write("p0000\n")
    other = write_folder(tmp_path / "other", rows(split=""), images=False)
    before = files(other)
    assert main(["splits", str(other), "--ids", str(folder / "splits.json")]) == 5
    assert "splits/test.txt" in "".join(capsys.readouterr().err.split())
    assert files(other) == before


def test_hashed_ids_name_nobody_and_can_be_applied_with_the_salt(folder, tmp_path, capsys):
    assert main(["splits", str(folder), "--ratio", "7:1:2", "--salted"]) == 0
    shared, salt = folder / "splits" / "shared", folder / "splits" / "salt.txt"
    assert {path.name for path in shared.iterdir()} == {"train.txt", "val.txt", "test.txt", "splits.json"}
    content = "".join(path.read_text() for path in shared.iterdir())
    assert salt.read_text().strip() not in content
    assert not any(f"{name}\n" in content for name in ("p0", "p17", "p39"))
    assert all(len(line) == 64 for line in (shared / "test.txt").read_text().split())
    other = write_folder(tmp_path / "other", rows(split=""), images=False)
    apply = ["splits", str(other), "--ids", str(shared / "splits.json")]
    assert main(apply) == 5
    assert "--salt" in capsys.readouterr().err
    (tmp_path / "wrong.txt").write_text("0123456789abcdef\n")
    assert main([*apply, "--salt", str(tmp_path / "wrong.txt")]) == 5
    assert main([*apply, "--salt", str(salt)]) == 0
    assert splits_of(other) == splits_of(folder)
    # the same salt serves again, so that lists of one data set can be compared
    first = (shared / "test.txt").read_bytes()
    assert main(["splits", str(folder), "--ratio", "7:1:2", "--salted"]) == 0
    assert (shared / "test.txt").read_bytes() == first


def test_the_official_splits_come_back(tmp_path):
    mine = [row(f"s{k}", f"p{k % 9}", ("train", "train", "val", "test")[k % 4]) for k in range(30)]
    folder = write_folder(tmp_path / "data", mine, images=False)
    before = splits_of(folder)
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    assert main(["splits", str(folder), "--ratio", "1:1:1", "--seed", "2"]) == 0
    assert splits_of(folder) != before
    assert main(["splits", str(folder), "--official"]) == 0
    assert splits_of(folder) == before
    assert json.loads((folder / "splits.json").read_text())["kind"] == "official"


@pytest.mark.parametrize("stratified", [[], ["--stratify"]])
def test_a_kept_split_keeps_its_patients_and_the_others_are_divided(stratified, tmp_path):
    mine = [row(f"s{k}", f"p{k}", "testing" if k % 5 == 0 else "train") for k in range(50)]
    mine.append(row("again", "p5", "train"))  # a patient of the test split, elsewhere too
    folder = write_folder(tmp_path / "data", mine, images=False)
    assert main(["splits", str(folder), "--ratio", "9:1:0", "--keep", "test", *stratified]) == 0
    given = splits_of(folder)
    assert {name for name, split in given.items() if split == "test"} == {f"s{k}" for k in range(0, 50, 5)} | {"again"}
    assert Counter(given.values()) == {"train": 36, "val": 4, "test": 11}
    assert json.loads((folder / "splits.json").read_text())["kept"] == "test"


def test_a_split_without_anybody_cannot_be_kept(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", [row("s0", "p0", "train"), row("s1", "p1", "")], images=False)
    before = files(folder)
    assert main(["splits", str(folder), "--ratio", "9:1:0", "--keep", "test"]) == 5
    assert "studies in test" in capsys.readouterr().err
    assert files(folder) == before


def test_published_lists_are_missed_beside_their_description(folder, tmp_path, capsys):
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    alone = tmp_path / "splits.json"
    alone.write_bytes((folder / "splits.json").read_bytes())
    assert main(["splits", str(folder), "--ids", str(alone)]) == 5
    said = " ".join(capsys.readouterr().err.split())
    assert "beside it" in said
    assert "Copy their folder" in said


def test_published_words_for_splits_are_taken_over(tmp_path):
    mine = [row("s0", "p0", "train"), row("s1", "p1", "validate"), row("s2", "p2", "test")]
    folder = write_folder(tmp_path / "data", mine, images=False)
    assert main(["splits", str(folder), "--official"]) == 0
    assert splits_of(folder) == {"s0": "train", "s1": "val", "s2": "test"}


def test_no_official_splits_is_an_error_that_changes_nothing(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", [row("s0", "p0", "train"), row("s1", "p1", "")], images=False)
    before = files(folder)
    assert main(["splits", str(folder), "--official"]) == 5
    assert "row 2" in capsys.readouterr().err
    assert files(folder) == before


def test_lists_that_share_patients_are_taken_and_told(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", rows(), images=False)
    ids = [one.id for one in rows()]
    (tmp_path / "l.json").write_text(json.dumps({"train": ids[::2], "test": ids[1::2]}))
    assert main(["splits", str(folder), "--ids", str(tmp_path / "l.json")]) == 0
    expected = len({i.split("-")[0] for i in ids[::2]} & {i.split("-")[0] for i in ids[1::2]})
    assert f"{expected} patients are both in train and in test" in " ".join(capsys.readouterr().err.split())


def test_a_broken_line_leaves_everything_as_it_was(folder, capsys):
    with (folder / "manifest.jsonl").open("a") as stream:
        stream.write('{"schema": "knowmvg.manifest/1"}\n')
    before = files(folder)
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 5
    assert "line 80 of" in " ".join(capsys.readouterr().err.split())
    assert files(folder) == before


def test_a_full_disk_leaves_everything_as_it_was(folder, monkeypatch):
    before = files(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 9
    assert files(folder) == before


def test_an_empty_data_set_is_refused(tmp_path):
    folder = write_folder(tmp_path / "data", [], images=False)
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 5
    assert files(folder) == {"manifest.jsonl": b""}


@pytest.mark.parametrize(
    "options",
    [[], ["--ratio", "7:1:2", "--official"], ["--ids", "x", "--official"], ["--ids", "x", "--by", "hospital"],
     ["--ids", "x", "--rest", "dev"], ["--ratio", "7:1:2", "--seed", "-1"],
     ["--official", "--stratify"], ["--official", "--keep", "test"], ["--ratio", "7:1:2", "--keep", "dev"],
     ["--ratio", "7:1:2", "--by", "patient"], ["--ratio", "7:1:2", "--salt", "x"]],
)  # fmt: skip
def test_a_wrong_command_line_ends_with_2(options, folder):
    before = files(folder)
    assert main(["splits", str(folder), *options]) == 2
    assert files(folder) == before


@pytest.mark.parametrize("ratio", ["7:1", "a:b:c", "0:0:0"])
def test_impossible_shares_end_with_6(ratio, folder):
    assert main(["splits", str(folder), "--ratio", ratio]) == 6


def test_notes_of_a_prepared_folder_follow(folder):
    notes = {"image_root": "..", "counts": {"train": {"studies": 79}}, "fingerprint": "old", "name": "x"}
    (folder / "dataset.json").write_text(json.dumps(notes))
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    told = json.loads((folder / "dataset.json").read_text())
    assert told["fingerprint"] == hashlib.sha256((folder / "manifest.jsonl").read_bytes()).hexdigest()
    assert told["counts"]["test"]["patients"] == 8
    assert told["name"] == "x"


def test_notes_of_a_simulated_folder_keep_what_they_said_apart(folder):
    notes = {"schema": "knowmvg.dataset/1", "counts": {}, "splits": [0.7, 0.1, 0.2], "fingerprint": "f", "seed": 1}
    (folder / "dataset.json").write_text(json.dumps(notes))
    for _ in range(2):
        assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    told = json.loads((folder / "dataset.json").read_text())
    assert told["before_resplit"] == {"counts": {}, "splits": [0.7, 0.1, 0.2], "fingerprint": "f"}
    assert (told["schema"], told["seed"]) == ("knowmvg.dataset/1", 1)
    assert "counts" not in told
    with pytest.raises(ManifestError):
        list(read_rows(folder / "splits"))
