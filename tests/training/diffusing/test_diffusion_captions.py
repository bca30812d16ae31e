"""Captions: what a report gives, how often it is dropped, and that what is drawn is what the UNet is given."""

from __future__ import annotations

import numpy as np
import pytest

from knowmvg.core.records import Assertion
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.training.diffusion.captions import CaptionDraw, Captioned

REPORT = "FINDINGS: Small left effusion. Possible nodule.\nIMPRESSION: Left effusion."


def row(report: str = REPORT, placed: bool = True) -> StudyRow:
    phrases = (
        PhraseRow(text="Small  left effusion", finding="pleural effusion", boxes=((0, 0, 1, 1),)),
        PhraseRow(text="nodule", finding="nodule", assertion=Assertion.POSSIBLE),
        PhraseRow(text="pneumothorax", finding="pneumothorax", assertion=Assertion.ABSENT),
    )
    return StudyRow(
        id="a", patient="p", split="train", image="a.png", width=8, height=8, report=report,
        phrases=phrases if placed else phrases[2:],
    )  # fmt: skip


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.3])
def test_captions_are_dropped_at_the_rate_that_is_asked_for(dropout: float) -> None:
    studies = [Captioned.of(row())] * 4000
    drawn = CaptionDraw({"phrase": 1.0}, dropout)(studies, np.random.default_rng(0))
    spread = 4 * (dropout * (1 - dropout) / len(drawn)) ** 0.5
    assert abs(drawn.count("") / len(drawn) - dropout) <= spread


def test_kinds_are_drawn_by_their_weights_whether_or_not_captions_are_dropped() -> None:
    studies = [Captioned.of(row())] * 4000
    drawn = CaptionDraw({"phrase": 3.0, "impression": 1.0}, 0.5)(studies, np.random.default_rng(1))
    told = [caption for caption in drawn if caption]
    assert told.count("Left effusion.") / len(told) == pytest.approx(0.25, abs=0.04)


def test_a_caption_names_what_is_placed_and_nothing_that_is_denied() -> None:
    rng = np.random.default_rng(0)
    texts = Captioned.of(row())
    assert {texts.draw("phrase", rng) for _ in range(50)} == {"Small left effusion", "nodule"}
    assert {texts.draw("phrases", rng) for _ in range(50)} == {
        "Small left effusion. nodule",
        "nodule. Small left effusion",
    }


def test_captions_need_no_box() -> None:
    with_boxes = row()
    without = with_boxes.model_copy(
        update={"phrases": tuple(p.model_copy(update={"boxes": (), "mask_bits": ()}) for p in with_boxes.phrases)}
    )
    assert Captioned.of(without) == Captioned.of(with_boxes)


@pytest.mark.parametrize(
    ("report", "caption"),
    [(REPORT, "Left effusion."), ("The lungs are\nclear.", "The lungs are clear."), ("", "")],
)
def test_a_study_without_a_placed_phrase_takes_the_next_text_that_it_has(report: str, caption: str) -> None:
    assert Captioned.of(row(report, placed=False)).draw("phrase", np.random.default_rng(0)) == caption
