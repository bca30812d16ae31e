"""The instruction pools of PFMVG's two stages, from prompts.yaml, and its texts cut to what it was taught."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from random import Random
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.grounders.coordinates.conventions import asked

MOST_WORDS = 50
"""Words of a caption or report that are kept, as in the code that the authors released (jinlHe/PeFoMed)."""

_MARKS = re.compile(r'[.!"()*#:;~]')


class _Tasks(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    caption: str
    refer: str


class Pools(BaseModel):
    """The content of prompts.yaml, whose head says what each part is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["knowmvg.instruction-pools/1"] = Field(alias="schema")
    task: _Tasks
    refer: tuple[str, ...] = Field(min_length=1)
    caption: tuple[str, ...] = Field(min_length=1)
    report: tuple[str, ...] = Field(min_length=1)

    @field_validator("refer")
    @classmethod
    def _has_a_place(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(line.count("{phrase}") != 1 for line in value):
            raise ValueError("expected {phrase} once in each instruction of refer")
        return value

    def refer_question(self, phrase: str, random: Random | None = None) -> str:
        """``[refer]`` and an instruction about a phrase, the first of the pool or a random one."""
        line = self.refer[0] if random is None else random.choice(self.refer)
        return asked(f"{self.task.refer} {line}", phrase, lowered=True)

    def caption_question(self, random: Random, *, report: bool = False) -> str:
        """``[caption]`` and a random instruction, for an image with a caption or a radiograph with a report."""
        return f"{self.task.caption} {random.choice(self.report if report else self.caption)}"


@cache
def pools() -> Pools:
    """The pools of the package. Raises ``KnowledgeError`` where they do not follow the schema."""
    text = files("knowmvg.grounders.coordinates").joinpath("prompts.yaml").read_text(encoding="utf-8")
    try:
        return Pools.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise KnowledgeError("pools of instructions", str(error).splitlines()[0], "Correct prompts.yaml.") from error


def caption_text(text: str, most_words: int = MOST_WORDS) -> str:
    """A caption or report as stage 1 teaches it: lower case, some marks left out, at most ``most_words`` words."""
    return " ".join(_MARKS.sub(" ", text.lower()).split()[:most_words])
