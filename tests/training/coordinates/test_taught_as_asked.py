"""What PFMVG is taught is what it is asked: the same words about a phrase, the same picture of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from torch import Tensor

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec, Style
from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query
from knowmvg.core.records import LabelledPhrase, Phrase, Radiograph, Side, Study
from knowmvg.grounders.backbones.load import load_speaking
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.canvas import in_frame, on_canvas
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import CONVENTIONS
from knowmvg.grounders.coordinates.examples import refer_pair
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.nn.backbones.generation import Chooser
from knowmvg.sources.manifest import PhraseRow, StudyRow, load_study
from knowmvg.training.coordinates.exercises import Exercises
from knowmvg.training.coordinates.lessons import PhraseLessons
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.coordinates.run import task_of
from knowmvg.training.coordinates.shown import frame_of_row
from tests.backbones.tiny_families import quiet_on_one_thread, write_family

PHRASE = "Left lower lobe\n <Opacity>"
TAUGHT = "[refer] give the place of left lower lobe opacity"
BOX = (10.0, 12.0, 30.0, 34.0)
LABEL = LabelledPhrase(Phrase(text=PHRASE), np.array([BOX]))
WIDTH, HEIGHT, ASPECT = 60, 40, 1.6


class Heard(BackboneSpeaker):
    """A model that keeps what it is asked."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.questions: list[str] = []

    def answer(
        self, seen: Tensor, owners: Sequence[int], questions: Sequence[str], choose: Chooser | None, most_tokens: int
    ) -> Tensor:
        self.questions += questions
        return super().answer(seen, owners, questions, choose, most_tokens)


def task(family: str, codec: BoxCodec = PFMVG) -> CoordinatesConfig:
    recipe = PfmvgRecipe.model_validate(
        {"system": "coordinates", "name": "a", "data": {"folder": "d"}, "base": {"id": "b"}, "codec": codec}
    )
    return task_of(recipe, CONVENTIONS[family], ())


def taught(codec: BoxCodec = PFMVG) -> tuple[str, str]:
    pair = refer_pair(LABEL, codec, Frame.squash((100, 100), (56, 56)), pools())
    assert pair is not None
    return pair.question, pair.answer


@pytest.mark.parametrize("family", ["joined_llava", "llava", "gemma3", "internvl", "paligemma"])
def test_a_phrase_is_asked_in_the_words_that_it_was_taught_in(family: str) -> None:
    assert taught()[0] == TAUGHT == task(family).asked(PHRASE)


def test_the_texts_that_stand_in_for_reading_ask_in_the_same_words() -> None:
    phrase = PhraseRow(text=PHRASE, finding="opacity", side=Side.LEFT, boxes=(BOX,))
    row = StudyRow(id="a", patient="a", split="train", image="a", width=9, height=9, report="", phrases=(phrase,))
    first = pools().model_copy(update={"refer": pools().refer[:1]})
    drawn = Exercises([row], PFMVG, first, 0.0, 1, 1, 1)
    assert TAUGHT in drawn.boxes(np.random.default_rng(0)).prompt


def test_the_model_hears_what_it_was_taught_and_repeats_the_phrase_so(tmp_path: Path) -> None:
    folder = write_family("joined_llava", tmp_path / "base")
    with quiet_on_one_thread():
        speaker = Heard(load_speaking(BackbonePart(id=str(folder), dtype="float32", lora=None)))
    repeating = BoxCodec(style=Style.BBOX_2D, bins=1000)
    grounder = CoordinateGrounder(speaker, task("joined_llava", repeating), "tiny")
    study = Study(Radiograph(np.zeros((40, 60), np.float32)), "", "a")
    ((answer,),) = grounder.answers([study], [[Query(LABEL.phrase, 1)]])
    assert speaker.questions == [TAUGHT] == [taught(repeating)[0]]
    assert answer is not None
    assert '"label": "left lower lobe opacity"' in answer.text
    assert '"label": "left lower lobe opacity"' in taught(repeating)[1]


def test_a_model_that_was_taught_nothing_here_is_asked_in_the_report_s_own_letters() -> None:
    assert "Left lower lobe Opacity" in CoordinatesConfig.of(CONVENTIONS["llava"]).asked(PHRASE)


@pytest.fixture
def oblong(tmp_path: Path) -> StudyRow:
    """A study whose pixels are higher than wide, in ``tmp_path``."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID, header.Modality = ComputedRadiographyImageStorage, generate_uid(), "CR"
    header.Rows, header.Columns, header.SamplesPerPixel, header.PixelRepresentation = HEIGHT, WIDTH, 1, 0
    header.PhotometricInterpretation, header.PixelSpacing = "MONOCHROME2", [0.2 * ASPECT, 0.2]
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelData = np.random.default_rng(1).integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16).tobytes()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    phrase = PhraseRow(text=PHRASE, boxes=(BOX,))
    sizes = {"width": WIDTH, "height": HEIGHT}
    return StudyRow(id="a", patient="a", split="train", image="a.dcm", report="", phrases=(phrase,), **sizes)


@pytest.mark.parametrize("fit", list(Fit))
def test_oblong_pixels_are_shown_in_training_as_they_are_in_use(oblong: StudyRow, tmp_path: Path, fit: Fit) -> None:
    image = load_study(tmp_path, oblong).image
    assert image.pixel_aspect == pytest.approx(ASPECT)
    canvas, frame = on_canvas(image, 56, fit)
    lessons = PhraseLessons(tmp_path, [oblong], PFMVG, View(fit, (56, 56)))
    (_, _, taught_in), pair = lessons.pair(0, Random(0))
    assert taught_in == frame
    np.testing.assert_array_equal(in_frame(image, taught_in), canvas)
    assert pair.answer == PFMVG.encode([BOX], frame).text
    if fit is not Fit.SQUASH:
        assert frame.scale[1] / frame.scale[0] == pytest.approx(ASPECT)


@pytest.mark.parametrize("fit", list(Fit))
def test_a_part_of_them_is_shown_so_too(oblong: StudyRow, tmp_path: Path, fit: Fit) -> None:
    view, part = View(fit, (56, 56)), (8.0, 10.0, 30.0, 26.0)
    frame = frame_of_row(tmp_path, oblong, view, part)
    corners = frame.to_canvas([[8, 10, 38, 36]])[0]
    across, down = corners[2:] - corners[:2]
    if fit is Fit.SQUASH:
        assert corners == pytest.approx([0, 0, 56, 56])
        return
    assert down / across == pytest.approx(26 * ASPECT / 30)
    assert (min if fit is Fit.CROP else max)(across, down) == pytest.approx(56)
    assert corners[:2] == pytest.approx(0 if fit is Fit.CORNER else (56 - (corners[2:] - corners[:2])) / 2)
    lessons = PhraseLessons(tmp_path, [oblong], PFMVG, view, least_side=0.5)
    for chance in range(20):
        (_, _, shown), _ = lessons.pair(0, Random(chance))
        assert shown.scale[1] / shown.scale[0] == pytest.approx(ASPECT)
