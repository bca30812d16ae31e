from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import LeakError, ManifestError
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.leaks import Kind, find_leaks, pairs_within
from knowmvg.sources.leaks.keys import ends_key, sentence_keys, text_key, whole_key
from knowmvg.sources.leaks.near_images import difference_hash, near_pairs, stacked
from knowmvg.training.leaks import refuse_leaks
from tests.sources.data_folders import row, splits_of, write_folder


def found_in(folder, kinds=frozenset(Kind)):
    return {(leak.kind, leak.seen, leak.held_out): leak for leak in find_leaks(pairs_within(folder), kinds).found}


def lineage_rows():
    """A division like that of the ChestX-ray8 boxes in the lineage: one row a box, divided by box.

    688, 98 and 198 rows. Of the test rows 23 show an image that train has too. These are of 23 patients; 36 more
    patients have other images in both, so that 59 patients are shared. Val shares none.
    """
    rows = [row(f"train{k}", f"p{k:04d}", "train", f"images/p{k:04d}_000.png") for k in range(688)]
    rows += [row(f"val{k}", f"q{k:04d}", "val", f"images/q{k:04d}_000.png") for k in range(98)]
    rows += [row(f"test{k}", f"p{k:04d}", "test", f"images/p{k:04d}_000.png") for k in range(23)]
    rows += [row(f"test{k}", f"p{k:04d}", "test", f"images/p{k:04d}_001.png") for k in range(23, 59)]
    rows += [row(f"test{k}", f"r{k:04d}", "test", f"images/r{k:04d}_000.png") for k in range(59, 198)]
    return rows


@pytest.fixture(scope="module")
def lineage(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("lineage") / "data", lineage_rows())


def test_the_leak_of_the_lineage_is_found_with_its_counts(lineage):
    found = found_in(lineage, {Kind.PATIENT, Kind.PATH, Kind.BYTES})
    assert set(found) == {(kind, "train", "test") for kind in (Kind.PATIENT, Kind.PATH, Kind.BYTES)}
    patients, images = found[Kind.PATIENT, "train", "test"], found[Kind.PATH, "train", "test"]
    assert (patients.keys, patients.of) == (59, 198)
    assert (images.keys, images.rows, images.of) == (23, 23, 198)
    assert found[Kind.BYTES, "train", "test"].rows == 23
    assert images.examples[0] == "test0"


def test_the_command_says_so_and_ends_with_10(lineage, tmp_path, capsys):
    assert main(["leaks", str(lineage), "--out", str(tmp_path / "leaks.json")]) == 10
    shown = capsys.readouterr()
    assert "23 of 198" in shown.out
    assert "image path, test and train: test0, test1, ..." in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert "59 patients of test are in train (59 of 198 rows)" in " ".join(shown.err.split())
    told = json.loads((tmp_path / "leaks.json").read_text())
    assert {(leak["kind"], leak["keys"]) for leak in told} == {("patient", 59), ("image path", 23), ("image bytes", 23)}


def test_training_refuses_it_unless_told(lineage, tmp_path):
    told: list[str] = []
    kept = tmp_path / "leaks.json"
    with pytest.raises(LeakError, match="59 patients of test are in train") as caught:
        refuse_leaks(lineage, kept, told.append, allowed=False)
    assert "data.allow_leaks" in caught.value.todo
    assert len(told) == 3
    assert refuse_leaks(lineage, kept, told.append, allowed=True)[0].keys == 59


def test_the_result_is_kept(lineage, tmp_path, monkeypatch):
    kept = tmp_path / "leaks.json"
    first = refuse_leaks(lineage, kept, lambda _: None, allowed=True)
    monkeypatch.setattr("knowmvg.training.leaks.find_leaks", lambda *_: pytest.fail("looked again"))
    assert refuse_leaks(lineage, kept, lambda _: None, allowed=True) == first


def test_a_damaged_kept_result_is_made_again(lineage, tmp_path):
    kept = tmp_path / "leaks.json"
    for content in ("[1]", "{"):
        kept.write_text(content)
        assert len(refuse_leaks(lineage, kept, lambda _: None, allowed=True)) == 3


def test_a_division_by_patients_mends_it(lineage, tmp_path, capsys):
    folder = write_folder(tmp_path / "data", lineage_rows())
    assert main(["splits", str(folder), "--ratio", "7:1:2"]) == 0
    assert set(splits_of(folder).values()) == {"train", "val", "test"}
    assert main(["leaks", str(folder)]) == 0
    told: list[str] = []
    assert refuse_leaks(folder, tmp_path / "kept.json", told.append, allowed=False) == ()
    assert told == ["leaks: no patient and no image is in two splits"]
    assert "nothing is shared" in capsys.readouterr().out


def small(folder, *rows, **more):
    return write_folder(folder, rows, **more)


def test_the_same_bytes_under_other_names_are_found(tmp_path):
    folder = small(tmp_path / "d", row("a", "p1", "train"), row("b", "p2", "test"), row("c", "p3", "test"))
    (folder / "images/b.png").write_bytes((folder / "images/a.png").read_bytes())
    found = found_in(folder, {Kind.PATIENT, Kind.PATH, Kind.BYTES})
    assert set(found) == {(Kind.BYTES, "train", "test")}
    assert found[Kind.BYTES, "train", "test"].examples == ("b",)


def test_a_link_to_an_image_is_that_image(tmp_path):
    folder = small(tmp_path / "d", row("a", "p1", "train"), row("b", "p2", "val"))
    (folder / "images/b.png").unlink()
    (folder / "images/b.png").symlink_to("a.png")
    assert (Kind.PATH, "train", "val") in found_in(folder, {Kind.PATH})


def test_large_files_with_equal_ends_are_told_apart(tmp_path):
    folder = small(tmp_path / "d", row("a", "p1", "train"), row("b", "p2", "test"), images=False)
    (folder / "images").mkdir()
    ends = bytes(100_000)
    (folder / "images/a.png").write_bytes(ends + b"one" + ends)
    (folder / "images/b.png").write_bytes(ends + b"two" + ends)
    assert ends_key(folder / "images/a.png") == ends_key(folder / "images/b.png")
    assert whole_key(folder / "images/a.png") != whole_key(folder / "images/b.png")
    assert not found_in(folder, {Kind.BYTES})
    (folder / "images/b.png").write_bytes(ends + b"one" + ends)
    assert found_in(folder, {Kind.BYTES})[Kind.BYTES, "train", "test"].rows == 1


def test_shared_report_text_is_a_warning(tmp_path, capsys):
    texts = ("Small  left effusion.\n", "SMALL LEFT EFFUSION. ", "Other words here.", "", " ")
    rows = [row(f"s{k}", f"p{k}", "train" if k in (0, 3) else "test", report="x") for k in range(5)]
    rows = [one.model_copy(update={"report": text}) for one, text in zip(rows, texts, strict=True)]
    folder = small(tmp_path / "d", *rows)
    found = found_in(folder)
    assert found[Kind.TEXT, "train", "test"].rows == 1  # empty reports have nothing in common
    assert main(["leaks", str(folder)]) == 0
    assert "warning" in capsys.readouterr().out
    assert main(["leaks", str(folder), "--strict"]) == 10
    assert "effusion" not in "".join(capsys.readouterr()).casefold()
    told: list[str] = []
    refuse_leaks(folder, tmp_path / "kept.json", told.append, allowed=False)
    assert told[0].startswith("leaks: 1 report text of test is in train (1 of 3 rows; a warning")


def test_sentences_in_another_order_are_found(tmp_path):
    rows = [
        row("a", "p1", "train", report="There is a 12 mm nodule in the left lung. No pleural effusion is seen."),
        row(
            "b",
            "p2",
            "test",
            report="IMPRESSION: No effusion, pleural, is seen. In the left lung there is a 9 mm nodule.",
        ),
        row("c", "p3", "test", report="No pleural effusion is seen. The heart is large and wide."),
    ]
    found = found_in(small(tmp_path / "d", *rows))
    assert {case[0] for case in found} == {Kind.SENTENCES}
    assert found[Kind.SENTENCES, "train", "test"].examples == ("b",)


def test_keys_of_text_ignore_case_and_space_alone():
    assert text_key("A b\r\nc") == text_key(" a  B c ")
    assert text_key("left") != text_key("right")
    assert text_key("\n ") is None
    assert list(sentence_keys("Clear.")) == []


def picture(seed, size=256):
    """Smooth cells, as radiographs are."""
    cells = np.random.default_rng(seed).random((9, 9)) * 200 + 20
    return Image.fromarray(cells.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)


def test_copies_look_alike_and_others_do_not(tmp_path):
    original = picture(1)
    copies = {
        "resized.png": original.resize((180, 180)).convert("L"),
        "window.png": original.point(lambda grey: grey * 0.5 + 30).convert("L"),
        "coarse.jpg": original.convert("L"),
        "deep.png": Image.fromarray((np.asarray(original) * 200).astype(np.uint16)),
    }
    original.convert("L").save(tmp_path / "original.png")
    for name, copy in copies.items():
        copy.save(tmp_path / name, **({"quality": 40} if name.endswith("jpg") else {}))
    hashes = [difference_hash(tmp_path / name) for name in copies]
    others = []
    for seed in range(2, 20):
        picture(seed).convert("L").save(tmp_path / "other.png")
        others.append(difference_hash(tmp_path / "other.png"))
    base = stacked([difference_hash(tmp_path / "original.png")])
    assert near_pairs(base, stacked(hashes))[1].tolist() == [0, 1, 2, 3]
    assert near_pairs(base, stacked(others))[1].size == 0
    assert near_pairs(base, stacked([]))[0].size == 0


def test_near_pairs_are_those_of_the_distance():
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 2, (n, 512), dtype=np.uint8) for n in (7, 5))
    other[3] = one[2]
    other[3, :32] ^= 1
    other[4] = one[6]
    other[4, :33] ^= 1
    packed = [np.packbits(bits, axis=1).view(np.uint64) for bits in (one, other)]
    assert [pair.tolist() for pair in near_pairs(*packed)] == [[2], [3]]


def test_a_near_image_is_found_by_the_command(tmp_path, capsys):
    folder = small(tmp_path / "d", row("a", "p1", "train"), row("b", "p2", "test"))
    picture(5).convert("L").save(folder / "images/a.png")
    picture(5).resize((100, 100)).convert("L").save(folder / "images/b.png")
    assert main(["leaks", str(folder)]) == 0
    assert main(["leaks", str(folder), "--near"]) == 10
    assert "near image" in capsys.readouterr().out


def test_two_data_sets_are_compared(tmp_path, capsys):
    one = small(tmp_path / "pre", row("a", "p1", "train"), row("b", "p2", "test"))
    two = small(tmp_path / "own", row("x", "p1", "train"), row("y", "p2", "test"), row("z", "p3", "val"))
    for name in ("x", "y", "z"):
        (two / f"images/{name}.png").write_bytes(name.encode())
    assert main(["leaks", str(one), str(two)]) == 0  # p1 is trained on in both, p2 tested on in both
    three = small(tmp_path / "third", row("q", "p1", "test"), images=False)
    (three / "images").mkdir()
    (three / "images/q.png").write_bytes((one / "images/a.png").read_bytes())
    capsys.readouterr()
    assert main(["leaks", str(one), str(three)]) == 10
    assert main(["leaks", str(one), str(three), "--skip", "patient", "--skip", "bytes"]) == 0
    assert "not compared: image bytes, patient" in " ".join(capsys.readouterr().err.split())
    assert main(["leaks", str(one), str(three), "--held-out", "val"]) == 5
    assert main(["leaks", str(one), str(one)]) == 5
    assert main(["leaks", str(one), str(three), "--skip", "eyes"]) == 2


def test_a_missing_or_broken_image_is_named(tmp_path):
    folder = small(tmp_path / "d", row("a", "p1", "train"), row("b", "p2", "test"))
    (folder / "images/b.png").write_bytes(b"no image")
    with pytest.raises(ManifestError, match=r"b\.png"):
        found_in(folder, {Kind.NEAR})
    (folder / "images/b.png").unlink()
    for kind in (Kind.BYTES, Kind.NEAR):
        with pytest.raises(ManifestError, match=r"b\.png"):
            found_in(folder, {kind})


def test_rows_in_other_splits_are_told(tmp_path, capsys):
    folder = small(tmp_path / "d", row("a", "p1", "train"), row("b", "p2", "test"), row("c", "p1", "holdout"))
    assert main(["leaks", str(folder)]) == 0
    assert "not compared: 1 rows" in capsys.readouterr().err


def test_a_single_split_is_nothing_to_compare(tmp_path):
    assert main(["leaks", str(small(tmp_path / "d", row("a", "p1", "train")))]) == 5
