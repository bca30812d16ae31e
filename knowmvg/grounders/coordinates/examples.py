"""Labelled studies as the questions and answers that PFMVG's two stages are taught with."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.frames import Frame
from knowmvg.core.records import LabelledPhrase, Study
from knowmvg.grounders.coordinates.conventions import named
from knowmvg.grounders.coordinates.instructions import Pools, caption_text


@dataclass(frozen=True, slots=True)
class Pair:
    """A question about an image, and the answer to it."""

    question: str
    answer: str


def refer_pairs(study: Study, codec: BoxCodec, frame: Frame, pools: Pools, random: Random | None = None) -> list[Pair]:
    """Stage 2: one pair a phrase that the study places, with all its boxes from the image's left to its right.

    Args:
        study: with reference boxes.
        codec: of the answers.
        frame: what the model sees of the image; a box that it does not show is not in the answer, and a phrase of
            which it shows no box is left out.
        pools: of instructions.
        random: draws the instruction; without it, the one that is asked in use.
    """
    pairs = (refer_pair(label, codec, frame, pools, random) for label in study.labels)
    return [pair for pair in pairs if pair is not None]


def refer_pair(
    label: LabelledPhrase, codec: BoxCodec, frame: Frame, pools: Pools, random: Random | None = None
) -> Pair | None:
    """The pair of one phrase, or ``None`` where it is not placed or the model sees none of its boxes."""
    if not label.phrase.assertion.placed or not len(label.boxes):
        return None
    written = codec.encode(label.boxes, frame, named(label.phrase.text, lowered=True))
    if written.unseen == len(label.boxes):
        return None
    return Pair(pools.refer_question(label.phrase.text, random), written.text)


def caption_pair(text: str, pools: Pools, random: Random, *, report: bool, most_words: int) -> Pair | None:
    """Stage 1: a random instruction and a study's text, cut as published; ``None`` for one without words."""
    answer = caption_text(text, most_words)
    return Pair(pools.caption_question(random, report=report), answer) if answer else None
