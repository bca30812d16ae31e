"""A data set of simulated studies is complete, repeatable and labelled as its scenes are."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from knowmvg.core.errors import OutputError, RecipeError
from knowmvg.core.records import Assertion, Section, Side
from knowmvg.sources.manifest import load_study, read_masks, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.sources.phantom.report import WrittenPhrase, WrittenReport
from knowmvg.sources.phantom.rows import mask_image, study_row
from knowmvg.sources.phantom.scene import Finding, Lesion, Scene

SIZE = 64


def rectangle(side, x, y, width=10, height=8):
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return Lesion(side, mask, (float(x), float(y), float(x + width), float(y + height)))


def scene_of(*findings):
    shape = (SIZE, SIZE)
    anatomy = {name: np.zeros(shape, dtype=bool) for name in ("right lung", "left lung", "heart")}
    anatomy["right lung"][8:56, 4:28] = True
    anatomy["left lung"][8:56, 36:60] = True
    anatomy["heart"][30:56, 24:46] = True
    return Scene(np.full(shape, 90, dtype=np.uint8), findings, anatomy)


def fake_scenes(rng, studies, size):
    """Scenes of rectangles, in place of the simulator."""
    assert size == SIZE
    for _ in range(studies):
        right = rectangle(Side.RIGHT, int(rng.integers(4, 16)), int(rng.integers(8, 46)))
        left = rectangle(Side.LEFT, int(rng.integers(36, 48)), int(rng.integers(8, 46)))
        both = rng.random() < 0.5
        effusion = Finding(
            "pleural effusion", Side.BILATERAL if both else Side.LEFT, "basal", 0.5, (right, left) if both else (left,)
        )
        nodule = Finding("nodule", Side.RIGHT, "upper", 0.2, (right,), mentioned=bool(rng.random() < 0.5))
        scene = scene_of(effusion, nodule)
        scene.pixels[:] = rng.integers(0, 256, scene.pixels.shape, dtype=np.uint8)
        yield scene


def failing_scenes(rng, studies, size):
    """As above for the first patients, then the disk is full."""
    if copy.deepcopy(rng).random() < 0.3:
        raise OSError("no space left on device")
    yield from fake_scenes(rng, studies, size)


def make(out, **changes):
    settings = {"studies": 24, "seed": 5, "size": SIZE, "workers": 1, "scenes_of": fake_scenes} | changes
    return write_dataset(out, **settings)


def contents(folder: Path):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "set"
    return out, make(out)


def test_round_trip(dataset):
    out, summary = dataset
    rows = list(read_rows(out))
    assert len(rows) == summary.studies == 24
    assert len({row.id for row in rows}) == 24
    lines = (out / "manifest.jsonl").read_text().splitlines()
    assert not any({"view", "source"} & json.loads(line).keys() for line in lines)  # fingerprints stay what they were
    boxes = 0
    for row in rows:
        study = load_study(out, row, masks=True)
        assert study.image.size == (SIZE, SIZE)
        planes = read_masks(out, row)
        assert ((planes >> row.anatomy_bits["heart"]) & 1).sum() == 26 * 22
        for label in study.labels:
            boxes += len(label.boxes)
            assert bool(len(label.boxes)) == label.phrase.assertion.placed
            assert row.report[slice(*label.phrase.span)] == label.phrase.text
            assert (label.boxes[:, 0] == np.sort(label.boxes[:, 0])).all()
            for box, mask in zip(label.boxes, [] if label.masks is None else label.masks, strict=True):
                ys, xs = np.nonzero(mask)
                assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert boxes == sum(count["boxes"] for count in summary.counts.values()) > 24
    assert sum(len(row.unmentioned) for row in rows) > 4


def test_summary_is_what_the_folder_says(dataset):
    out, summary = dataset
    told = json.loads((out / "dataset.json").read_text())
    assert told["fingerprint"] == summary.fingerprint
    assert set(told) == {"schema", "knowmvg", "seed", "studies", "size", "splits", "counts", "fingerprint"}
    for split, counts in told["counts"].items():
        assert counts["studies"] == sum(row.split == split for row in read_rows(out))
    assert {path.name for path in out.iterdir()} == {"images", "masks", "manifest.jsonl", "dataset.json"}
    assert not [path for path in out.parent.iterdir() if path != out]


def test_patients_are_in_one_split_and_shares_are_kept(dataset):
    out, summary = dataset
    splits = {}
    for row in read_rows(out):
        assert splits.setdefault(row.patient, row.split) == row.split
    studies = {split: counts["studies"] for split, counts in summary.counts.items()}
    assert all(abs(studies[split] - 24 * share) <= 3 for split, share in zip(studies, summary.splits, strict=True))
    assert len(splits) < 24


def test_workers_do_not_change_a_byte(dataset, tmp_path):
    out, summary = dataset
    again = make(tmp_path / "set", workers=2)
    assert again == summary
    assert contents(tmp_path / "set") == contents(out)


def test_another_seed_is_another_data_set(dataset, tmp_path):
    assert make(tmp_path / "set", seed=6).fingerprint != dataset[1].fingerprint


def test_a_larger_data_set_begins_with_the_same_patients(dataset, tmp_path):
    make(tmp_path / "set", studies=40)
    before, after = (list(read_rows(folder)) for folder in (dataset[0], tmp_path / "set"))
    assert [row.report for row in before[:20]] == [row.report for row in after[:20]]


def test_progress_counts_studies(tmp_path):
    calls = []
    make(tmp_path / "set", progress=lambda done, total: calls.append((done, total)))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[0] == (0, 24)
    assert calls[-1] == (24, 24)


def test_an_existing_folder_is_kept(dataset, tmp_path):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputError):
            make(other, overwrite=overwrite)
    assert (other / "thesis.txt").read_text() == "years of work"
    with pytest.raises(OutputError, match="overwrite"):
        make(dataset[0])


def test_a_data_set_is_replaced_when_told(tmp_path):
    first = make(tmp_path / "set", studies=4)
    second = make(tmp_path / "set", studies=5, overwrite=True)
    assert first.fingerprint != second.fingerprint
    assert len(list(read_rows(tmp_path / "set"))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_broken_run_leaves_nothing_and_is_taken_up_again(dataset, tmp_path):
    out = tmp_path / "set"
    with pytest.raises(OutputError, match="no space left"):
        make(out, scenes_of=failing_scenes)
    assert not out.exists()
    finished = list((tmp_path / ".set.part" / "done").glob("*.json"))
    assert finished
    calls = []
    summary = make(out, progress=lambda done, total: calls.append(done))
    assert calls[0] >= len(finished)
    assert summary == dataset[1]
    assert contents(out) == contents(dataset[0])


def test_the_rest_of_another_run_is_not_used(dataset, tmp_path):
    with pytest.raises(OutputError):
        make(tmp_path / "set", scenes_of=failing_scenes, seed=11)
    assert make(tmp_path / "set") == dataset[1]
    assert contents(tmp_path / "set") == contents(dataset[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"studies": 0},
        {"seed": -1},
        {"size": 8},
        {"size": 10_000},
        {"workers": 0},
        {"splits": (0.5, 0.5)},
        {"splits": (0.9, 0.2, -0.1)},
        {"splits": (0.5, 0.1, 0.1)},
    ],
)
def test_impossible_numbers_are_refused(changes, tmp_path):
    with pytest.raises(RecipeError):
        make(tmp_path / "set", **changes)
    assert not list(tmp_path.iterdir())


def test_a_folder_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        make(tmp_path / "file" / "set")


def phrase(side, index, assertion=Assertion.PRESENT):
    return WrittenPhrase("x", (0, 1), Section.UNHEADED, assertion, "pleural effusion", side, None, index)


def test_a_phrase_about_one_side_of_a_bilateral_finding_gets_the_boxes_of_that_side():
    lesions = (rectangle(Side.LEFT, 40, 20), rectangle(Side.RIGHT, 5, 30), rectangle(Side.RIGHT, 12, 10))
    scene = scene_of(Finding("pleural effusion", Side.BILATERAL, None, 0.5, lesions))
    phrases = tuple(phrase(side, 0) for side in (Side.LEFT, Side.RIGHT, Side.BILATERAL, None))
    row = study_row(scene, WrittenReport("x", phrases), name="p0-0", patient="p0", split="train")
    left, right, both, unsaid = row.phrases
    assert left.mask_bits == (3,)
    assert right.mask_bits == (4, 5)
    assert both.mask_bits == unsaid.mask_bits == (4, 5, 3)
    assert both.boxes == (lesions[1].box, lesions[2].box, lesions[0].box)


def test_what_is_not_on_the_image_has_no_box():
    scene = scene_of(Finding("pleural effusion", Side.LEFT, None, 0.5, (rectangle(Side.LEFT, 40, 20),)))
    kinds = (Assertion.ABSENT, Assertion.RESOLVED, Assertion.PRIOR)
    phrases = tuple(phrase(Side.RIGHT, None, kind) for kind in kinds)
    row = study_row(scene, WrittenReport("x", phrases), name="p0-0", patient="p0", split="train")
    assert all(not entry.boxes and not entry.mask_bits for entry in row.phrases)


def test_more_lesions_than_mask_planes_are_refused():
    lesions = tuple(rectangle(Side.LEFT, 30 + k, 20) for k in range(14))
    with pytest.raises(ValueError, match="at most 13"):
        mask_image(scene_of(Finding("nodule", Side.LEFT, None, 0.5, lesions)))


def dying_scenes(rng, studies, size):
    """The worker is killed, as by a lack of memory."""
    os._exit(1)


def test_a_killed_worker_is_a_clear_error(tmp_path):
    with pytest.raises(OutputError, match="killed"):
        make(tmp_path / "set", workers=2, scenes_of=dying_scenes)
    assert not (tmp_path / "set").exists()
