"""Images on the model's canvas before they are asked about: the same answers, drawn by the threads that read."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.grounder import DrawingGrounder, Query
from knowmvg.core.records import Phrase
from knowmvg.grounders import canvas
from knowmvg.grounders.canvas import DrawnStudy, canvas_of, drawn, on_canvas
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.variants import knowmvg
from knowmvg.inference.many import Counts, ground_shard, open_results
from knowmvg.inference.session import Session
from knowmvg.inference.worklist import WorkList
from tests.grounders.conftest import REPORT, labelled_study, radiograph, tiny_grounder


@pytest.fixture
def ours(tokenizer, graph) -> PromptedGrounder:
    return tiny_grounder(knowmvg(), tokenizer, graph)


def test_what_is_drawn_ahead_is_answered_alike(ours: PromptedGrounder) -> None:
    assert isinstance(ours, DrawingGrounder)
    studies = [labelled_study(0), labelled_study(1, (70, 90))]
    ready = [ours.drawn(study) for study in studies]
    assert ours.ground(ready) == ours.ground(studies)
    queries = [[Query(Phrase(text="edema"), 2)], []]
    assert ours.ground_phrases(ready, queries) == ours.ground_phrases(studies, queries)


def test_all_of_a_study_is_kept() -> None:
    study = labelled_study(0)
    ready = drawn(study, 32)
    assert (ready.image, ready.report, ready.id, ready.patient) == (study.image, study.report, study.id, study.patient)
    assert ready.labels is study.labels


def test_a_drawing_of_another_image_or_size_is_not_used() -> None:
    ready = drawn(labelled_study(0), 32)
    assert canvas_of(ready, 32)[0] is canvas_of(replace(ready, report="Other."), 32)[0]
    other = radiograph(90, 70, 5)
    assert isinstance(replace(ready, image=other), DrawnStudy)
    np.testing.assert_array_equal(canvas_of(replace(ready, image=other), 32)[0], on_canvas(other, 32)[0])
    assert canvas_of(ready, 64)[0].shape == (64, 64)


@pytest.mark.parametrize("phrases", ["both", "model", "parser"])
def test_of_a_folder_the_readers_draw_each_image_once(
    ours: PromptedGrounder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phrases: str
) -> None:
    (tmp_path / "data").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 50), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / f"s{number}.png")
        (tmp_path / "data" / f"s{number}.txt").write_text(REPORT, encoding="utf-8")
    drawing: list[str] = []

    def watched(*given: object) -> object:
        drawing.append(threading.current_thread().name)
        return on_canvas(*given)

    monkeypatch.setattr(canvas, "on_canvas", watched)
    work = WorkList(tmp_path / "data")
    results = open_results(tmp_path / "out", work, "m" * 64, phrases)
    assert ground_shard(Session(ours), work, results) == Counts(3, 0, 0)
    assert len(drawing) == 3
    assert all(name.startswith("knowmvg-read") for name in drawing)
