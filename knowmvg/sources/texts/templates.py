"""Template texts as data (templates.yaml), and how they name a finding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Assertion, Side
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Frame, grammar
from knowmvg.sources.phantom.report.naming import joined, place_words
from knowmvg.sources.phantom.report.written import NounPhrase

TEMPLATES_SCHEMA = "knowmvg.text-templates/1"
_LIKE = {"lung": "lung opacity", "pleural": "pleural effusion"}
"""The simulator's finding whose words for places serve."""


class Templates(BaseModel):
    """The content of templates.yaml, whose head says what each part is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["knowmvg.text-templates/1"] = Field(alias="schema")
    temporal: tuple[str, ...]
    counted: Mapping[str, str]
    lung: frozenset[str]
    pleural: frozenset[str]
    none: str
    possible: str
    questions: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, tuple[str, ...]]
    form: str
    categories: tuple[str, ...]
    bare_categories: tuple[str, ...]


@cache
def templates() -> Templates:
    """The templates of the package. Raises ``KnowledgeError`` where they do not follow the schema."""
    text = files("knowmvg.sources.texts").joinpath("templates.yaml").read_text(encoding="utf-8")
    try:
        found = Templates.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        got = str(error).splitlines()[0]
        raise KnowledgeError(f"templates of schema {TEMPLATES_SCHEMA}", got, "Correct templates.yaml.") from error
    return found


def dice_of(seed: int, *names: str) -> Dice:
    """Choices that hang on the seed and the names alone."""
    state = hashlib.sha256("\n".join(map(repr, (seed, *names))).encode(errors="surrogatepass")).digest()
    return Dice(np.random.default_rng(int.from_bytes(state[:16])))


@cache
def frames(kind: str) -> tuple[Frame, ...]:
    """The simulator's sentences of a kind, without those that speak of earlier examinations."""
    spoken = templates().temporal
    return tuple(frame for frame in grammar().frames[kind] if not any(word in "".join(frame) for word in spoken))


def is_sided(finding: str) -> bool:
    """Whether the finding lies on a side; one that the lexicon does not know may."""
    entry = load_lexicon().by_name().get(finding)
    return entry is None or entry.sided


def noun_phrase(
    finding: str, side: Side | None, zone: str | None, assertion: Assertion, index: int, dice: Dice
) -> NounPhrase:
    """The finding's name with its place, and nothing that a label does not say: no degree, no texture."""
    known, many = templates(), side is Side.BILATERAL
    name = known.counted.get(finding, finding) if many else finding
    number = ("plural" if many else "count") if finding in known.counted else "mass"
    table = next((like for group, like in _LIKE.items() if finding in getattr(known, group)), None)
    if not is_sided(finding):
        side = zone = None
    if table is None:
        return NounPhrase(joined([side.value, name] if side else [name]), number, finding, side, None, assertion, index)
    if zone not in grammar().findings[table].places:
        zone = None
    before, after = place_words(table, "pre", side, zone), place_words(table, "post", side, zone)
    if after and dice.chance(0.4):
        return NounPhrase(joined([name, dice.pick(after)]), number, finding, side, zone, assertion, index)
    words = [dice.pick(before), name] if before else [name]
    return NounPhrase(joined(words), number, finding, side, zone, assertion, index)
