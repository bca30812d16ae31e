"""The questions to an endpoint, from prompts.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Assertion
from knowmvg.sources.manifest import PhraseRow
from knowmvg.sources.texts.endpoint.client import Message


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Asked(_Part):
    system: str
    user: str


class _AskedReport(_Asked):
    with_places: str
    without_places: str


class Prompts(_Part):
    """The content of prompts.yaml, whose head says what each part is."""

    schema_: Literal["knowmvg.text-prompts/1"] = Field(alias="schema")
    settings: Mapping[str, Any]
    again: int = Field(ge=0, le=5)
    report: _AskedReport
    category: _Asked

    def fields(self) -> dict[str, Any]:
        """Further fields of the request."""
        return {name: value for name, value in self.settings.items() if value is not None}


@cache
def prompts() -> Prompts:
    """The prompts of the package. Raises ``KnowledgeError`` where they do not follow the schema."""
    text = files("knowmvg.sources.texts.endpoint").joinpath("prompts.yaml").read_text(encoding="utf-8")
    try:
        return Prompts.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise KnowledgeError(
            "prompts of schema knowmvg.text-prompts/1", str(error).splitlines()[0], "Correct it."
        ) from error


def ask_report(labels: Sequence[PhraseRow], *, places: bool) -> list[Message]:
    """For a report that says the labels; no identifier, no box and no word of an existing report is in the question."""
    part = prompts().report
    lines = "\n".join(f"- {_label(label, places=places)}" for label in labels)
    user = part.user.format(labels=lines, places=part.with_places if places else part.without_places)
    return [{"role": "system", "content": part.system}, {"role": "user", "content": user}]


def ask_category(category: str) -> list[Message]:
    """For a description of a category."""
    part = prompts().category
    return [
        {"role": "system", "content": part.system},
        {"role": "user", "content": part.user.format(category=category)},
    ]


def _label(label: PhraseRow, *, places: bool) -> str:
    words = [label.finding or label.text]
    if places:
        words += [str(word) for word in (label.side, label.zone) if word]
    if label.assertion is not Assertion.PRESENT:
        words.append(label.assertion.value)
    return words[0] + (f" ({', '.join(words[1:])})" if len(words) > 1 else "")
