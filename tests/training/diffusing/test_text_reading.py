"""The small text encoder: what its tokens are asked, and that a whole autoencoder stays the same when standardised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from knowmvg.core.records import Side
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.training.diffusion.autoencoder import small_autoencoder, standardise
from knowmvg.training.diffusion.canvases import as_tensor
from knowmvg.training.diffusion.reading import IGNORED, Labels, ReadingBatches, collate_reading, joined
from knowmvg.training.diffusion.recipe import AutoencoderPart
from knowmvg.training.diffusion.text_encoder import train_tokenizer

PHRASES = (
    PhraseRow(text="small left effusion", finding="pleural effusion", side=Side.LEFT, span=(0, 19)),
    PhraseRow(text="upper nodule", finding="nodule", zone="upper", span=(24, 36)),
)
ROW = StudyRow(
    id="a", patient="p", split="train", image="a.png", width=8, height=8,
    report="Small left effusion and upper nodule.", phrases=PHRASES,
)  # fmt: skip


@pytest.fixture(scope="module")
def words():
    return train_tokenizer([ROW.report, *(phrase.text for phrase in PHRASES)] * 3, 200, 16)


def test_a_token_is_asked_for_what_its_own_phrase_says(words) -> None:
    labels = Labels.of([ROW])
    drawn = collate_reading([joined(PHRASES)], words, labels, 16, np.random.default_rng(0))
    findings = drawn["classes"][0, 0].tolist()
    assert findings[0] == findings[-1] == 0  # the special tokens say nothing
    assert findings[1:4] == [labels.values["finding"].index("pleural effusion") + 1] * 3
    assert findings[4] == 0  # the full stop between the two
    assert findings[5:7] == [labels.values["finding"].index("nodule") + 1] * 2
    assert drawn["classes"][1, 0, 5] == 0  # the nodule has no side


def test_of_a_long_text_a_window_is_read(words) -> None:
    told = ReadingBatches([ROW], 0, 1, 30)[0]
    drawn = collate_reading(told, words, Labels.of([ROW]), 5, np.random.default_rng(0))
    assert drawn["input_ids"].shape[1] == 5
    assert (drawn["attention_mask"].sum(dim=1) <= 5).all()
    assert drawn["input_ids"][:, 0].eq(words.cls_token_id).all()


def test_some_pieces_are_hidden_and_asked_for(words) -> None:
    told = [joined(PHRASES)] * 400
    drawn = collate_reading(told, words, Labels.of([ROW]), 16, np.random.default_rng(0))
    asked = drawn["words"] != IGNORED
    pieces = drawn["attention_mask"].sum() - 2 * len(told)
    assert float(asked.sum() / pieces) == pytest.approx(0.15, abs=0.02)
    assert float((drawn["input_ids"][asked] == words.mask_token_id).float().mean()) == pytest.approx(0.8, abs=0.05)
    kept = drawn["input_ids"] == drawn["words"]
    assert 0.07 < float(kept[asked].float().mean()) < 0.2


def test_standardised_latents_decode_to_the_same_images() -> None:
    torch.manual_seed(0)
    vae = small_autoencoder(AutoencoderPart(widths=(8, 8), channels=2), 16).eval()
    images = np.random.default_rng(0).integers(0, 255, (6, 16, 16), dtype=np.uint8)
    canvases = as_tensor(images) * 2 - 1
    with torch.no_grad():
        before = vae.encode(canvases).latent_dist
        decoded = vae.decode(before.mean).sample
        standardise(vae, images, batch=4)
        after = vae.encode(canvases).latent_dist
        torch.testing.assert_close(vae.decode(after.mean).sample, decoded, rtol=1e-4, atol=1e-4)
    channels = after.mean.transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(dim=1), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(channels.std(dim=1), torch.ones(2), rtol=1e-3, atol=1e-3)
    ratio = before.mean.transpose(0, 1).flatten(1).std(dim=1).view(1, 2, 1, 1)
    torch.testing.assert_close(after.std, before.std / ratio, rtol=1e-3, atol=1e-4)
