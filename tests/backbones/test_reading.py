"""Prompts, label masks and pictures of every family."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import Gemma3Processor, Idefics3Processor, LlavaProcessor
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import LoadedBackbone, load_faces
from knowmvg.grounders.backbones.record import BackbonePart
from tests.backbones.tiny_families import FAMILIES

REPORT = "Small left pleural effusion.\nNo pneumothorax. A nodule in the right upper lobe."
PHRASES = [("Small left pleural effusion", 2), ("nodule in the right upper lobe", 1)]
WITH_PROCESSOR = ("llava", "idefics3", "gemma3")  # the others' processors want torchvision, or hide their layout


def canvases(count: int, side: int = 40) -> np.ndarray:
    return np.random.default_rng(5).random((count, side, side)).astype(np.float32)


def test_an_answer_is_the_tail_of_one_tokenisation_and_reads_back(each: LoadedBackbone) -> None:
    chat = each.tokenizer
    written = chat.write(REPORT, PHRASES)
    assert list(written.prompt) == chat.prompt(REPORT)
    assert list(written.answer) == chat.write_answer(PHRASES)
    assert written.answer[-1] == chat.end
    assert written.answer.count(chat.box) == 3
    assert chat.box not in written.prompt
    assert (written.kept, written.cut) == (2, 0)
    read = chat.read_answer(written.answer)
    assert [(phrase.text, len(phrase.boxes)) for phrase in read] == PHRASES
    assert all(written.answer[place] == chat.box for phrase in read for place in phrase.boxes)


def test_no_phrase_is_an_answer_without_a_box(each: LoadedBackbone) -> None:
    chat = each.tokenizer
    written = chat.write(REPORT, [])
    assert len(written.answer) > 1
    assert chat.box not in written.answer
    assert chat.read_answer(written.answer) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_text_never_becomes_a_special_token(name: str, kept: Callable[[str], LoadedBackbone]) -> None:
    chat = kept(name).tokenizer
    reserved = [token.content for token in chat.backend.added_tokens_decoder.values() if token.special]
    report = " ".join([*reserved[:8], "<BOX>"]) + "".join([*reserved[:8], "<BOX>"])
    plain = chat.write("x", [("x", 1)])
    written = chat.write(report, [(report, 1)])
    assert (written.kept, written.cut) == (1, 0)
    for token in chat.special - {chat.backend.unk_token_id}:
        assert written.prompt.count(token) == plain.prompt.count(token)
        assert written.answer.count(token) == plain.answer.count(token)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(report=st.text(max_size=60), phrase=st.text(min_size=1, max_size=20), boxes=st.integers(1, 4))
def test_prompts_of_training_and_use_are_one(
    kept: Callable[[str], LoadedBackbone], report: str, phrase: str, boxes: int
) -> None:
    for name in ("llava", "smolvlm", "paligemma"):
        chat = kept(name).tokenizer
        written = chat.write(report, [(phrase, boxes)])
        assert list(written.prompt) == chat.prompt(report)
        assert written.answer.count(chat.box) == boxes
        assert written.prompt.count(chat.image) == chat.image_length


def test_phrases_that_do_not_fit_go_whole_and_from_the_end(
    folders: Callable[[str], Path], kept: Callable[[str], LoadedBackbone]
) -> None:
    whole = kept("qwen2_5_vl").tokenizer.write(REPORT, PHRASES)
    size = len(whole.prompt) + len(whole.answer)
    part = BackbonePart(id=str(folders("qwen2_5_vl")), dtype="float32", picture=56, max_length=size - 1)
    chat, _ = load_faces(part)
    written = chat.write(REPORT, PHRASES)
    assert (written.kept, written.cut) == (1, 0)
    assert list(written.answer) == chat.write_answer(PHRASES[:1])
    assert len(written.prompt) + len(written.answer) < size
    with pytest.raises(ModelError, match="Raise max_length"):
        load_faces(part.model_copy(update={"max_length": 64}))[0].write(REPORT, PHRASES)


def test_a_long_report_is_cut_at_a_word_with_the_phrases_behind(
    folders: Callable[[str], Path], kept: Callable[[str], LoadedBackbone]
) -> None:
    tokens = len(kept("llava").tokenizer.encode("Small left pleural effusion.\nNo pneumo"))
    chat, _ = load_faces(BackbonePart(id=str(folders("llava")), max_report=tokens))
    ends = [len("Small left pleural effusion"), len(REPORT) - 1]
    written = chat.write(REPORT, PHRASES, ends)
    assert written.cut == len(REPORT) - len("Small left pleural effusion.\nNo")
    assert written.kept == 1
    assert list(written.prompt) == chat.prompt(REPORT)
    assert "pneumo" not in chat.backend.decode(written.prompt)


@pytest.mark.parametrize("name", WITH_PROCESSOR)
def test_prompts_and_pictures_are_those_of_the_familys_own_processor(
    name: str, kept: Callable[[str], LoadedBackbone]
) -> None:
    backbone = kept(name)
    chat, pictures = backbone.tokenizer, backbone.pictures
    made, tokenizer = pictures.processor, chat.backend
    options = {"chat_template": chat.template}
    processor = {
        "llava": lambda: LlavaProcessor(
            made,
            tokenizer,
            patch_size=14,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            **options,
        ),
        "idefics3": lambda: Idefics3Processor(made, tokenizer, image_seq_len=4, **options),
        "gemma3": lambda: Gemma3Processor(made, tokenizer, image_seq_length=4, **options),
    }[name]()
    canvas = canvases(1, pictures.side)
    image = Image.fromarray((canvas[0] * 255).round().astype(np.uint8)).convert("RGB")
    text = chat.rendered(chat.plain(chat._asked(REPORT)), None).replace(chat.placeholders, chat.marker)
    assert text.count(chat.marker) == 1
    theirs = processor(images=[image], text=[text], return_tensors="pt", **pictures.options)
    ids = theirs["input_ids"][0].tolist()
    start = tokenizer.bos_token_id
    assert (ids[1:] if start is not None and ids[:2] == [start, start] else ids) == chat.prompt(REPORT)
    torch.testing.assert_close(theirs["pixel_values"], pictures(canvas)["pixel_values"])


def test_qwen_and_smolvlm_write_the_placeholders_of_their_processors(kept: Callable[[str], LoadedBackbone]) -> None:
    for name, theirs in (("qwen2_5_vl", Qwen2_5_VLProcessor), ("qwen3_vl", Qwen3VLProcessor)):
        pictures = kept(name).pictures
        processor = SimpleNamespace(image_processor=pictures.processor, image_token="<|image_pad|>")
        text = theirs.replace_image_token(processor, dict(pictures(canvases(1))), 0)
        assert pictures.placeholders == text
    names = ("<fake_token_around_image>", "<image>", "<global-img>")
    assert kept("smolvlm").pictures.placeholders == get_image_prompt_string(0, 0, 4, *names)


def test_a_large_picture_of_smolvlm_is_shown_in_tiles(load: Callable[..., LoadedBackbone]) -> None:
    backbone = load("smolvlm", picture=56)
    names = ("<fake_token_around_image>", "<image>", "<global-img>")
    assert backbone.pictures.placeholders == get_image_prompt_string(2, 2, 4, *names)
    features = backbone.vlm.look(backbone.pictures(canvases(2)))
    assert features.shape == (2, 4 * 5, backbone.vlm.hidden_size)
    ids = torch.tensor([backbone.tokenizer.prompt(REPORT)] * 2)
    assert backbone.vlm(ids, None, features).isfinite().all()


@pytest.mark.parametrize(("name", "side", "todo"), [("llava", 56, "28 or null"), ("qwen2_5_vl", 60, "picture: 56")])
def test_a_side_that_the_tower_cannot_take_is_refused(
    name: str, side: int, todo: str, folders: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelError, match=todo):
        load_faces(BackbonePart(id=str(folders(name)), picture=side))
