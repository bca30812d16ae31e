"""Generation of every family: cached and uncached, batches and singles, one image for several questions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from knowmvg.grounders.backbones.load import LoadedBackbone
from knowmvg.nn.backbones.backbone import Backbone
from knowmvg.nn.vlm import Generation
from tests.backbones.tiny_families import FAMILIES

REPORTS = ("Small nodule.", "No pneumothorax. Left pleural effusion is present in the upper lobe.", "Cardiomegaly")
STEPS = 10
NEVER = -1  # a stop that no row writes


def seen(backbone: LoadedBackbone, count: int) -> Tensor:
    canvases = np.random.default_rng(7).random((count, 40, 40)).astype(np.float32)
    return backbone.vlm.look(backbone.pictures(canvases))


def padded(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[*[pad] * (width - len(row)), *row] for row in rows])
    return ids, torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row in rows])


def write(backbone: LoadedBackbone, reports: tuple[str, ...], features: Tensor, stop: int = NEVER) -> Generation:
    ids, mask = padded([backbone.tokenizer.prompt(report) for report in reports], backbone.tokenizer.pad)
    return backbone.vlm.generate(ids, mask, features, stop_id=stop, max_new_tokens=STEPS)


def test_the_kept_state_is_that_of_an_uncached_reading(each: LoadedBackbone) -> None:
    features = seen(each, 1)
    made = write(each, REPORTS[1:2], features)
    prompt = each.tokenizer.prompt(REPORTS[1])
    states = each.vlm(torch.tensor([[*prompt, *made.ids[0].tolist()]]), None, features)
    emitting = states[0, len(prompt) - 1 : len(prompt) - 1 + STEPS]
    torch.testing.assert_close(made.states[0], emitting, atol=1e-5, rtol=1e-5)
    assert torch.equal(each.vlm.logits(emitting).argmax(dim=-1), made.ids[0])


def test_a_padded_batch_writes_what_its_rows_write_alone(each: LoadedBackbone) -> None:
    features = seen(each, len(REPORTS))
    made = write(each, REPORTS, features)
    for row, report in enumerate(REPORTS):
        alone = write(each, (report,), features[row : row + 1])
        assert torch.equal(made.ids[row], alone.ids[0])
        torch.testing.assert_close(made.states[row], alone.states[0], atol=1e-5, rtol=1e-5)


def test_questions_about_one_image_share_its_prefix(each: LoadedBackbone) -> None:
    features = seen(each, 1)
    prompts = [each.tokenizer.prompt(report) for report in REPORTS]
    made = each.vlm.generate_shared(prompts, features, stop_id=NEVER, max_new_tokens=STEPS)
    apart = write(each, REPORTS, features.expand(len(REPORTS), -1, -1))
    assert torch.equal(made.ids, apart.ids)
    torch.testing.assert_close(made.states, apart.states, atol=1e-5, rtol=1e-5)


def test_the_prefix_is_read_once(kept: Callable[[str], LoadedBackbone], monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = kept("llava")
    read: list[tuple[int, ...]] = []
    plain = Backbone.read

    def counted(self: Backbone, input_ids: Tensor, *args: object, **more: object) -> Tensor:
        read.append(tuple(input_ids.shape))
        return plain(self, input_ids, *args, **more)

    monkeypatch.setattr(Backbone, "read", counted)
    prompts = [backbone.tokenizer.prompt(report) for report in REPORTS]
    backbone.vlm.generate_shared(prompts, seen(backbone, 1), stop_id=NEVER, max_new_tokens=3)
    assert read[0][0] == 1
    assert read[0][1] > backbone.vlm.image_length
    assert read[1][0] == len(REPORTS)
    assert read[0][1] + read[1][1] == max(map(len, prompts))
    assert read[2:] == [(len(REPORTS), 1)] * 2


def test_questions_that_part_before_the_image_are_refused(kept: Callable[[str], LoadedBackbone]) -> None:
    backbone = kept("llava")
    prompts = [backbone.tokenizer.prompt("x"), [backbone.tokenizer.end, *backbone.tokenizer.prompt("x")]]
    with pytest.raises(ValueError, match="share the image"):
        backbone.vlm.generate_shared(prompts, seen(backbone, 1), stop_id=NEVER, max_new_tokens=2)


def test_writing_ends_with_the_answer(each: LoadedBackbone) -> None:
    features = seen(each, len(REPORTS))
    free = write(each, REPORTS, features)
    stop = int(free.ids[0, 2])  # a token that the first row writes early on
    made = write(each, REPORTS, features, stop)
    for row in range(len(REPORTS)):
        wanted = free.ids[row].tolist()
        length = wanted.index(stop) + 1 if stop in wanted else STEPS
        assert made.ids[row, :length].tolist() == wanted[:length]
        assert set(made.ids[row, length:].tolist()) <= {stop}
    longest = max(row.index(stop) + 1 if stop in row else STEPS for row in free.ids.tolist())
    assert made.ids.shape[1] == longest


@pytest.mark.parametrize("name", FAMILIES)
def test_reading_is_that_of_transformers(
    name: str, folders: Callable[[str], Path], kept: Callable[[str], LoadedBackbone]
) -> None:
    """The same logits as the upstream class gives for its own processor's arguments, image tower and all."""
    chat, pictures = kept(name).tokenizer, kept(name).pictures
    upstream = AutoModelForImageTextToText.from_pretrained(folders(name), dtype=torch.float32).eval()
    prompt_end = chat.prompt("x")[-1] if name == "paligemma" else None
    ours = Backbone(upstream, pictures.length, prompt_end).eval()
    shown = pictures(np.random.default_rng(7).random((2, 40, 40)).astype(np.float32))
    ids, mask = padded([chat.prompt(report) for report in REPORTS[:2]], chat.pad)
    kinds = (ids == chat.image).int()
    more = {"qwen2_5_vl": {"mm_token_type_ids": kinds}, "qwen3_vl": {"mm_token_type_ids": kinds}}
    more |= {"gemma3": {"token_type_ids": kinds}, "paligemma": {"token_type_ids": torch.zeros_like(kinds)}}
    line = (mask.cumsum(dim=1) - 1).clamp(min=0) + (name == "paligemma")
    positions = {} if name.startswith("qwen") else {"position_ids": line}
    with torch.no_grad():
        theirs = upstream(input_ids=ids, attention_mask=mask, **shown, **positions, **more.get(name, {})).logits
        states = ours(ids, mask, ours.look(shown))
    real = mask.bool()
    torch.testing.assert_close(ours.logits(states)[real], theirs[real], atol=1e-5, rtol=1e-5)
    told = upstream.generate(
        input_ids=ids, attention_mask=mask, **shown, **more.get(name, {}), do_sample=False, max_new_tokens=6,
        min_new_tokens=6, eos_token_id=None, pad_token_id=chat.pad,
    )  # fmt: skip
    made = ours.generate(ids, mask, ours.look(shown), stop_id=NEVER, max_new_tokens=6)
    assert torch.equal(made.ids, told[:, ids.shape[1] :])


def test_a_prompt_with_too_few_placeholders_is_refused(each: LoadedBackbone) -> None:
    prompt = each.tokenizer.prompt("x")
    prompt.remove(each.tokenizer.image)
    with pytest.raises(ValueError, match="image placeholders"):
        each.vlm(torch.tensor([prompt]), None, seen(each, 1))


def test_text_alone_is_read_too(each: LoadedBackbone) -> None:
    ids = torch.tensor([each.tokenizer.encode("left pleural effusion in the lobe")])
    assert each.vlm(ids, None, None).shape == (1, ids.shape[1], each.vlm.hidden_size)
