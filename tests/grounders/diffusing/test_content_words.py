from __future__ import annotations

import pytest
import tiny_diffusion
import torch

from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.text import TextRecipe, encode
from knowmvg.grounders.diffusion.words import content_words, token_weights


def said(text, words, finding=None):
    return [text[a:b] for a, b in content_words(Phrase(text=text, finding=finding), words)]


def test_findings_and_places_of_the_report_language():
    text = "There is a Small left-sided pleural effusion, and oedema of both lower lobes."
    assert said(text, "report") == ["left", "pleural", "effusion", "oedema", "both", "lower", "lobes"]
    assert said("unchanged from before", "report") == []


def test_every_word_that_is_no_function_word():
    assert said("There is a 3 cm nodule in the right upper lobe.", "lexical") == [
        "cm",
        "nodule",
        "right",
        "upper",
        "lobe",
    ]


def test_the_words_of_the_disease_or_all():
    text = "large left pleural effusion with atelectasis"
    assert said(text, "disease", "pleural effusion") == ["pleural", "effusion"]
    assert said("left basal shadow", "disease", "pleural effusion") == ["left", "basal", "shadow"]
    assert said("left shadow", "disease") == ["left", "shadow"]
    assert said("a nodule, left.", "all") == ["a", "nodule", "left"]


@pytest.mark.parametrize("words", ["report", "lexical", "disease", "all"])
@pytest.mark.parametrize("text", [".", "-,;", "\u00df\u20ac", "\U0001f600 \u0130", "x" * 5000, "12 %"])
def test_junk_is_read(text, words):
    spans = content_words(Phrase(text=text), words)
    assert all(0 <= a < b <= len(text) for a, b in spans)


@pytest.fixture(scope="module")
def conditions():
    tokenizer, texts = tiny_diffusion.tokenizer(), ["Small  left effusion, pneumothorax", "", "lower"]
    recipe = TextRecipe(max_tokens=16)
    return tokenizer, texts, encode(tokenizer, tiny_diffusion.bert(), recipe, texts, "cpu")


def test_all_pieces_of_a_word_by_offsets(conditions):
    tokenizer, texts, read = conditions
    ids = tokenizer(texts[0])["input_ids"]
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert pieces == ["[CLS]", "small", "left", "effusion", ",", "pneumo", "##thorax", "[SEP]"]
    spans = content_words(Phrase(text=texts[0]), "report")
    weights = token_weights(read.offsets[0], spans)
    assert weights.nonzero().flatten().tolist() == [2, 3, 5, 6]
    assert weights.sum() == pytest.approx(1)
    first = token_weights(read.offsets[0], spans, first_piece=True)
    assert first.nonzero().flatten().tolist() == [2, 3, 5]


def test_special_tokens_and_padding_are_in_no_word(conditions):
    _, texts, read = conditions
    weights = token_weights(read.offsets[2], [(0, len(texts[2]))])
    assert weights.nonzero().flatten().tolist() == [1]
    assert not token_weights(read.offsets[1], [(0, 100)]).any()
    assert not token_weights(read.offsets[0], []).any()


def test_a_word_behind_the_last_token_is_cut_off():
    text = "small " * 20 + "effusion"
    recipe = TextRecipe(max_tokens=16)
    read = encode(tiny_diffusion.tokenizer(), tiny_diffusion.bert(), recipe, [text], "cpu")
    assert not token_weights(read.offsets[0], content_words(Phrase(text=text), "report")).any()


def test_a_text_is_the_same_in_any_batch():
    tokenizer, encoder, recipe = tiny_diffusion.tokenizer(), tiny_diffusion.bert(), TextRecipe(max_tokens=16)
    texts = ["left effusion", "", "a small nodule in the upper lobe"]
    together = encode(tokenizer, encoder, recipe, texts, "cpu")
    for row, text in enumerate(texts):
        alone = encode(tokenizer, encoder, recipe, [text], "cpu")
        torch.testing.assert_close(together.states[row], alone.states[0], atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="masked_attention"):
        TextRecipe(padded=False)
