"""What the CPU-size parts of PFMVG are taught with, and that training and use see the same."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from knowmvg.core.boxtext.codec import PFMVG
from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.errors import ManifestError
from knowmvg.core.frames import Frame
from knowmvg.core.records import Side
from knowmvg.evaluation.metrics import phrase_iou
from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.sources.manifest import PhraseRow, StudyRow, read_masks, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.coordinates.exercises import Exercises
from knowmvg.training.coordinates.language import WritingTask, number_errors, small_llama
from knowmvg.training.coordinates.lessons import PhraseLessons, ReportLessons, caption_rows
from knowmvg.training.coordinates.masks import MaskedImages, classes_of, keep
from knowmvg.training.coordinates.recipe import CaptionData
from knowmvg.training.coordinates.sizes import LanguagePart, VisionPart
from knowmvg.training.coordinates.tokenizer import numbers_of, train_tokenizer
from knowmvg.training.coordinates.validation import overlap
from knowmvg.training.coordinates.vision import DEVIATION, MEAN, ImageBatches, PatchTask, pixels_of, small_tower

VIEW = View(Fit.SQUASH, (64, 64))
FRAME = Frame.squash((100, 100), (100, 100))
PART = VisionPart(side=64, patch=8, cells=2, width=16, layers=1)


def row(name: str, patient: str = "a", split: str = "train", report: str = "No effusion. Left nodule.") -> StudyRow:
    phrase = PhraseRow(text="Left nodule", finding="nodule", side=Side.LEFT, boxes=((60, 10, 80, 40),))
    sizes = {"width": 100, "height": 100}
    return StudyRow(
        id=name, patient=patient, split=split, image=f"{name}.png", report=report, phrases=(phrase,), **sizes
    )


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    write_dataset(folder, studies=8, seed=5, size=128, splits=(0.5, 0.25, 0.25), workers=1)
    return folder


def exercises(reports: float = 0.3, seed: int = 1) -> Exercises:
    return Exercises([row("a"), row("b")], PFMVG, pools(), reports, seed, 3, 50)


def test_exercises_depend_on_seed_and_place_alone_and_their_boxes_are_true() -> None:
    drawn = exercises()
    assert drawn[2] == exercises()[2] != exercises(seed=2)[2]
    assert drawn[1] != drawn[2]
    texts = [one for index in range(3) for one in drawn[index]]
    assert any("no effusion left nodule" in one.answer for one in texts)
    counted = [one.answer for one in texts if not one.prompt]
    for answer in counted:
        numbers = [int(number) for number in answer[1:-1].split("><")]
        assert len({b - a for a, b in pairwise(numbers)}) == 1
        assert all(0 <= number <= 100 for number in numbers)
    found = [one for one in texts if "<" in one.prompt]
    assert len(counted) > 2
    assert len(found) > 20
    for one in found:
        told, _, _ = one.prompt.removeprefix("[INST] ").partition(" [refer]")
        points = np.array([(int(x), int(y)) for x, y in re.findall(r"<(\d+)><(\d+)>", told)])
        (x1, y1, x2, y2) = PFMVG.decode(one.answer, FRAME).boxes[0]
        left = points[points[:, 0] > 50]  # the other side's points may be there as well
        assert (x1, y1, x2, y2) == (*left.min(axis=0), *left.max(axis=0))


def test_coordinates_are_tokens_that_no_question_can_write() -> None:
    drawn = exercises()
    numbers = numbers_of(PFMVG, (64, 64))
    assert len(numbers) == 101
    tokenizer = train_tokenizer([one.prompt + one.answer for one in drawn[0]], 300, numbers)
    assert len(tokenizer) <= 300
    written = tokenizer("<s>[INST] give Left nodule [/INST] {<0><12><99><100>}</s>", add_special_tokens=False)
    tokens = tokenizer.convert_ids_to_tokens(written["input_ids"])
    assert tokens[-7:] == ["▁{", "<0>", "<12>", "<99>", "<100>", "}", "</s>"]
    assert "left nodule" in tokenizer.decode(written["input_ids"])
    assert set(numbers) <= set(tokenizer.all_special_tokens) | {
        token.content for token in tokenizer.added_tokens_decoder.values() if token.special
    }


def test_a_language_model_is_taught_what_is_written_and_not_the_prompt() -> None:
    drawn = exercises(reports=0.0)
    numbers = numbers_of(PFMVG, (64, 64))
    tokenizer = train_tokenizer([one.prompt + one.answer for one in drawn[0]], 300, numbers)
    torch.manual_seed(0)
    part = LanguagePart(width=16, layers=1)
    places = tokenizer.convert_tokens_to_ids("<0>"), len(numbers)
    task = WritingTask(small_llama(part, tokenizer, *places), tokenizer, part.positions, *places)
    rows = task.llama.lm_head.weight[places[0] : sum(places)]
    alike = torch.cosine_similarity(rows[50:51], rows)
    assert alike[50] > alike[51] > alike[54] > alike[75]  # neighbours begin alike
    batch = task.collate([drawn[0]])
    for ids, labels, one in zip(batch["input_ids"], batch["labels"], drawn[0], strict=True):
        learnt = labels[labels != -100]
        assert tokenizer.decode(learnt).strip() == f"{one.answer.strip()}</s>"
        assert torch.equal(ids[labels != -100], learnt)
    short, alone = task.collate([drawn[0][:1]]), drawn[0][:1]
    together = task.collate([[*alone, max(drawn[0], key=lambda one: len(one.prompt))]])
    assert together["input_ids"].shape[1] >= short["input_ids"].shape[1]
    logits, _ = task.logits(**short)
    beside, _ = task.logits(**together)
    torch.testing.assert_close(beside[: len(logits)], logits)  # padding changes nothing
    found = number_errors(task, [drawn[0]])
    assert 0 < found["error"] < 100
    assert 0 <= found["right"] <= 1


def test_what_the_tower_learns_on_is_what_it_is_shown_in_use() -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    square = {"height": 64, "width": 64}
    shown = CLIPImageProcessorPil(
        size=square, crop_size=square, do_resize=False, image_mean=[MEAN] * 3, image_std=[DEVIATION] * 3
    )
    wanted = shown(images=[np.stack([canvas] * 3, axis=-1) for canvas in canvases], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels_of(canvases), wanted)


def test_masks_are_kept_in_the_cells_that_they_cover(studies: Path, tmp_path: Path) -> None:
    rows = list(read_rows(studies))
    classes = classes_of(rows)
    assert {"heart", "left lung", "right lung"} <= set(classes)
    keep(tmp_path, studies, rows, classes, PART, Fit.SQUASH, lambda _: None)
    kept = MaskedImages(tmp_path, classes, PART)
    assert len(kept) == len(rows)
    masks = kept.masks(np.arange(len(rows)))
    assert masks.shape == (len(rows), len(classes), 16, 16)
    planes = read_masks(studies, rows[0])
    assert planes is not None
    heart = ((planes >> rows[0].anatomy_bits["heart"]) & 1).reshape(16, 8, 16, 8).mean(axis=(1, 3))
    sure = abs(heart - 0.5) > 0.1
    np.testing.assert_array_equal(masks[0, classes.index("heart")][sure], (heart > 0.5)[sure])
    with pytest.raises(ManifestError, match="masks"):
        classes_of([row("a")])


def test_cells_and_places_stand_where_the_patches_are(tmp_path: Path) -> None:
    """Each patch tells its own cells: an output that only patch (row 1, column 2) gives moves no other cells."""
    np.save(tmp_path / "canvases.npy", np.zeros((1, 64, 64), np.uint8))
    np.save(tmp_path / "masks.npy", np.zeros((1, 64), np.uint8))
    images = MaskedImages(tmp_path, ["a", "b"], PART)

    class Marked(CLIPVisionModel):
        def forward(self, *given: object, **named: object) -> object:
            states = torch.zeros(1, 65, 16)
            states[0, 1 + 1 * 8 + 2, 0] = 1.0
            return type("Out", (), {"last_hidden_state": states})()

    tower = Marked(small_tower(PART).config)
    task = PatchTask(tower, images)
    with torch.no_grad():
        for layer in (task.cells, task.place):
            layer.weight.zero_()
            layer.bias.zero_()
        task.cells.weight[4 + 1, 0] = 5.0  # class b, the upper right cell of a patch
    drawn, _ = task.logits(torch.zeros(1, 3, 64, 64))
    assert drawn.nonzero().tolist() == [[0, 1, 2, 5]]
    assert set(task(torch.zeros(1, 3, 64, 64), torch.zeros(1, 2, 16, 16))) == {"cells", "shown", "dice", "place"}


def test_every_image_is_drawn_once_a_turn() -> None:
    drawn = ImageBatches(10, 3, 5, 4)
    assert sorted(np.concatenate([drawn[0], drawn[1], drawn[2][:2]]).tolist()) == list(range(10))
    assert drawn[3].tolist() == ImageBatches(10, 3, 5, 4)[3].tolist()


def test_reports_are_drawn_by_their_shares_and_never_of_a_patient_who_is_held_out(tmp_path: Path) -> None:
    many, few = [row(f"m{k}") for k in range(30)], [row(f"f{k}") for k in range(5)]
    parts = [
        (CaptionData(share=2.0), Path("m"), many),
        (CaptionData(text="caption"), Path("f"), [*few, row("e", report=".")]),
    ]
    lessons = ReportLessons(parts, 3, VIEW, 0)
    shown = [lessons.pair(item, Random(item)) for item in range(len(lessons.lengths))]
    assert [folder.name for (folder, _, _), _ in shown].count("f") == 5
    assert len(shown) == 15
    assert all(pair.answer == "no effusion left" for _, pair in shown)
    asked = {folder.name: pair.question.removeprefix("[caption] ") for (folder, _, _), pair in shown}
    assert asked["m"] in pools().report
    assert asked["f"] in pools().caption
    assert lessons.sources()[Path("m")] == many
    with pytest.raises(ManifestError, match="words"):
        ReportLessons([(CaptionData(), Path("e"), [row("e", report="...")])], 3, VIEW, 0)
    lines = [row("a", "one"), row("b", "two"), row("c", "three", "test")]
    (tmp_path / "manifest.jsonl").write_text("".join(f"{line.model_dump_json(by_alias=True)}\n" for line in lines))
    kept, left_out = caption_rows(tmp_path, {"two", "three"})
    assert ([line.id for line in kept], left_out) == (["a"], 1)
    with pytest.raises(ManifestError, match="train"):
        caption_rows(tmp_path, {"one", "two"})


def test_phrases_are_shown_whole_or_in_a_crop_that_keeps_their_boxes() -> None:
    whole = PhraseLessons(Path("d"), [row("a")], PFMVG, VIEW)
    (_, _, frame), pair = whole.pair(0, Random(0))
    assert (frame, pair.answer) == (VIEW.frame((100, 100)), "{<60><10><80><40>}")
    cropped = PhraseLessons(Path("d"), [row("a")], PFMVG, VIEW, least_side=0.4)
    (_, _, frame), pair = cropped.pair(0, Random(0))
    assert frame != VIEW.frame((100, 100))
    np.testing.assert_allclose(PFMVG.decode(pair.answer, frame).boxes, [(60, 10, 80, 40)], atol=1.01)
    with pytest.raises(ManifestError, match="boxes"):
        PhraseLessons(Path("d"), [row("a").model_copy(update={"phrases": ()})], PFMVG, VIEW)


@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (1, 2), (3, 3), (2, 4)])
def test_validation_counts_overlap_as_the_evaluation_does(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(counts))
    drawn, truth = (np.sort(rng.random((count, 2, 2)), axis=1).reshape(count, 4) for count in counts)
    assert overlap(drawn, truth) == pytest.approx(phrase_iou(drawn, truth))
    assert overlap(np.zeros((0, 4)), truth) == 0
