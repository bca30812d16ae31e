"""The findings of a data set's categories, from one table for all sets (``categories.yaml``)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import normalised
from knowmvg.knowledge.lexicon import load_lexicon

CATEGORIES_SCHEMA = "knowmvg.categories/1"


class Categories(BaseModel):
    """The categories of one data set; ``findings`` is by category, and ``source`` says where their names come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=10)
    findings: dict[str, str | None]

    @field_validator("findings")
    @classmethod
    def _by_plain_name(cls, table: dict[str, str | None]) -> dict[str, str | None]:
        plain = {normalised(name): value for name, value in table.items()}
        if len(plain) != len(table):
            raise ValueError("expected each category once, got one twice")
        return plain

    def finding(self, category: str) -> str | None:
        """The canonical finding of a category, or ``None`` where our lexicon has no counterpart."""
        return self.findings.get(normalised(category))

    def knows(self, category: str) -> bool:
        """Whether the category is in the table, with a counterpart or without."""
        return normalised(category) in self.findings


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: str = Field(alias="schema", pattern=f"^{CATEGORIES_SCHEMA}$")
    sets: dict[str, Categories]


def parse_categories(data: Any) -> dict[str, Categories]:
    """The tables by data set. Raises ``KnowledgeError`` for a wrong form or a finding that the lexicon has not."""
    try:
        sets = _File.model_validate(data).sets
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        form = f"a table of schema {CATEGORIES_SCHEMA}"
        raise KnowledgeError(form, f"{first['msg']} at {place}", "Correct categories.yaml.") from error
    known = load_lexicon().by_name()
    for name, table in sets.items():
        strange = sorted({finding for finding in table.findings.values() if finding is not None} - known.keys())
        if strange:
            got = f"{', '.join(strange)} in {name}"
            raise KnowledgeError("findings of the lexicon", got, "Correct categories.yaml.")
    return sets


@cache
def categories_of(dataset: str) -> Categories:
    """The table of a data set by its name in the registry. Raises ``KeyError`` for a set without one."""
    text = files("knowmvg.sources.datasets").joinpath("categories.yaml").read_text(encoding="utf-8")
    return parse_categories(yaml.safe_load(text))[dataset]


def finding_named(text: str) -> str | None:
    """The canonical finding whose name this is, for sets whose categories are the user's own."""
    name = normalised(text)
    return name if name in load_lexicon().by_name() else None
