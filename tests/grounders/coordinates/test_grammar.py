"""Grammars: what they accept parses as it was meant, and whatever a model prefers, its answer is one of those."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from knowmvg.core.boxtext.codec import BoxCodec, Style
from knowmvg.core.frames import Frame
from knowmvg.grounders.coordinates.decoding import FreeProcessor, GrammarProcessor
from knowmvg.grounders.coordinates.grammar import Grammar
from knowmvg.grounders.coordinates.vocabulary import Vocabulary

CODECS = [
    BoxCodec(),
    BoxCodec(style=Style.BBOX_2D, bins=1000),
    BoxCodec(style=Style.BBOX_2D, bins=None),
    BoxCodec(style=Style.BOX_2D, bins=1000, order="yxyx"),
    BoxCodec(style=Style.LOC, bins=1024, order="yxyx", top=1023),
    BoxCodec(style=Style.LOC_, bins=1000, rounding="cell"),
    BoxCodec(style=Style.REF_BOX, bins=1000),
    BoxCodec(style=Style.DECIMAL, bins=100),
    BoxCodec(style=Style.PATCH, bins=32, rounding="cell"),
    BoxCodec(style=Style.PLAIN, bins=100),
]
IDS = [f"{codec.style}-{codec.bins}" for codec in CODECS]
FRAME = Frame.squash((900, 700), (280, 252))
PHRASE = 'left "upper" lobe nodule'
ASCII = [chr(code) for code in range(32, 127)] + ["\n", "\t"]
PIECES = [
    *ASCII,
    "12",
    "34",
    "56",
    "100",
    "><",
    ">}",
    '"bbox',
    "_2d",
    '": [',
    ", ",
    "], ",
    "```",
    "json",
    "<loc",
    " [",
    "], [",
]
STOP = len(PIECES)


def letters() -> Vocabulary:
    return Vocabulary(enumerate(PIECES))


@pytest.mark.parametrize("codec", CODECS, ids=IDS)
def test_what_the_codec_writes_is_accepted(codec):
    rng = np.random.default_rng(1)
    grammar = Grammar(codec, FRAME.canvas, PHRASE)
    for count in (0, 1, 1, 2, 4):
        low = rng.uniform(0, 0.6, (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(0.05, 0.4, (count, 2))], axis=1) * [900, 700, 900, 700]
        text = codec.encode(boxes, FRAME, PHRASE).text
        assert grammar.accepts(text)
        assert not grammar.accepts(text + "x")
        assert not count or not grammar.accepts(text[: len(text) // 2])
    assert not Grammar(codec, FRAME.canvas, PHRASE, least=1).accepts(codec.encode([], FRAME, PHRASE).text)


@pytest.mark.parametrize("codec", CODECS, ids=IDS)
@pytest.mark.parametrize("seed", range(6))
def test_a_model_that_likes_nonsense_writes_boxes(codec, seed):
    """Random logits, sharp and flat: every answer parses without a fault and has the boxes that were noted."""
    generator = torch.Generator().manual_seed(seed)
    grammars = [Grammar(codec, FRAME.canvas, PHRASE, least, most) for least, most in ((0, 2), (1, 1), (2, 3))]
    processor = GrammarProcessor(letters(), grammars, [STOP])
    ids = torch.zeros(3, 4, dtype=torch.long)  # a prompt
    for _ in range(400):
        logits = torch.randn(3, STOP + 1, generator=generator) * (1 + 5 * (seed % 3))
        ids = torch.cat([ids, processor(ids, logits).argmax(dim=-1, keepdim=True)], dim=1)
        if bool((ids[:, -1] == STOP).all()):
            break
    processor.finish(ids[:, 4:])
    for row, grammar in enumerate(grammars):
        assert processor.whole(row)
        text = "".join(PIECES[token] for token in ids[row, 4:].tolist() if token != STOP)
        reading = codec.decode(text, FRAME)
        assert reading.faults == ()
        noted = processor.boxes(row)
        assert grammar.least <= len(reading.boxes) == len(noted) <= grammar.most
        stored = FRAME.to_stored(codec.boxes([box.numbers for box in noted], FRAME.canvas))
        np.testing.assert_allclose(np.reshape(reading.boxes, (-1, 4)), stored, atol=1e-6)
        for box in noted:
            assert 0 < box.score <= 1
            assert all(-1e-3 <= value <= max(grammar.greatest) + 1e-3 for value in box.expected)


def scripted(codec, tokens, wanted, vocabulary=None):
    """Decode with one-token numbers: ``wanted`` gives, for each step, ``{token text: probability}``."""
    names = {text: number for number, text in enumerate(tokens)}
    stop = len(tokens)
    grammar = Grammar(codec, FRAME.canvas, "", 0, 2)
    processor = GrammarProcessor(vocabulary or Vocabulary(enumerate(tokens)), [grammar], [stop])
    ids = torch.zeros(1, 1, dtype=torch.long)
    for shares in wanted:
        logits = torch.full((1, stop + 1), -40.0)
        for text, share in shares.items():
            logits[0, stop if text == "end" else names[text]] = math.log(share)
        ids = torch.cat([ids, processor(ids, logits).argmax(dim=-1, keepdim=True)], dim=1)
    processor.finish(ids[:, 1:])
    return processor


def test_score_and_expected_coordinate_of_tokens_by_hand():
    tokens = ["{", "}", *(f"<{number}>" for number in range(101)), "<", ">", "1", "0"]
    sure = {"{": 1.0}
    processor = scripted(
        BoxCodec(),
        tokens,
        [sure, {"<10>": 0.6, "<20>": 0.4}, {"<20>": 1.0}, {"<50>": 0.5, "<60>": 0.25, "<70>": 0.25}, {"<90>": 1.0},
         {"}": 1.0}, {"end": 1.0}],
    )  # fmt: skip
    (box,) = processor.boxes(0)
    assert box.numbers == (10, 20, 50, 90)
    assert box.expected == pytest.approx((14, 20, 57.5, 90), abs=1e-4)
    assert box.score == pytest.approx((0.6 * 0.5) ** 0.25, abs=1e-4)
    (plain,) = processor.boxes(0, expected=False)
    assert (plain.numbers, plain.expected, plain.score) == (box.numbers, None, box.score)


def test_expected_coordinate_of_digits_takes_the_middle_of_what_was_not_followed():
    tokens = ["{<", "><", ">}", *"0123456789"]
    processor = scripted(
        BoxCodec(),
        tokens,
        [{"{<": 1.0}, {"1": 0.5, "3": 0.3, "><": 0.2}, {"0": 0.8, "2": 0.2}, {"><": 1.0}, {"5": 1.0}, {"><": 1.0},
         {"9": 1.0}, {"9": 1.0}, {"><": 1.0}, {"9": 1.0}, {"9": 1.0}, {">}": 1.0}, {"end": 1.0}],
    )  # fmt: skip
    (box,) = processor.boxes(0)
    assert box.numbers == (10, 5, 99, 99)
    # "3" alone or 30 to 39, eleven numbers; "><" cannot stand for a number and is not allowed
    three = (3 + sum(range(30, 40))) / 11
    assert box.expected[0] == pytest.approx((0.5 * 10.4 + 0.3 * three) / 0.8, abs=1e-3)
    assert box.expected[1:] == pytest.approx((5, 99, 99), abs=1e-3)


def test_tokens_for_numbers_are_never_spelled():
    class Backend:
        """A tokenizer with a token for each number, and letters."""

        def __init__(self):
            self.words = ["{", "}", "<", ">", *"0123456789", "<1", "><", *(f"<{number}>" for number in range(101))]
            added = {n: word for n, word in enumerate(self.words) if n >= 16}
            self.added_tokens_decoder = {n: type("T", (), {"content": word})() for n, word in added.items()}
            self.backend_tokenizer = type("B", (), {"to_str": lambda self: '{"decoder": null}'})()

        def get_vocab(self):
            return {word: number for number, word in enumerate(self.words)}

    vocabulary = Vocabulary.of(Backend(), BoxCodec(), (448, 448))
    grammar = Grammar(BoxCodec(), (448, 448), "", 1)
    (brace,) = vocabulary.allowed(grammar, grammar.start)
    assert vocabulary.texts[brace[0]] == "{"
    follow = {vocabulary.texts[number] for number, _ in vocabulary.allowed(grammar, brace[1])}
    assert follow == {f"<{number}>" for number in range(100)}  # 100 leaves no room for the other end
    vocabulary.check(grammar)


def test_free_answers_keep_the_mean_probability_of_their_tokens():
    processor = FreeProcessor(2, [3])
    ids, chosen = torch.zeros(2, 1, dtype=torch.long), ([0, 3, 3], [1, 2, 3])
    for step in range(3):
        logits = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.1], [0.1, 0.2, 0.3, 0.4]]))
        assert torch.equal(processor(ids, logits), logits)
        ids = torch.cat([ids, torch.tensor([[chosen[0][step]], [chosen[1][step]]])], dim=1)
    processor.finish(ids[:, 1:])
    assert processor.score(0) == pytest.approx((0.5 * 0.1) ** 0.5)
    assert processor.score(1) == pytest.approx((0.2 * 0.3 * 0.4) ** (1 / 3))
    assert processor.whole(0)
    assert processor.whole(1)


def test_a_tokenizer_without_the_letters_is_refused():
    from knowmvg.core.errors import ModelError

    vocabulary = Vocabulary(enumerate("0123456789<>"))
    with pytest.raises(ModelError, match="write boxes"):
        vocabulary.check(Grammar(BoxCodec(), (448, 448), "", 1))
