"""The open atlas: anatomy of the frontal chest radiograph and where findings are seen on it (data/atlas.yaml)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Side
from knowmvg.knowledge.atlas_file import read_atlas_file
from knowmvg.knowledge.vocabulary import FindingTerms, Vocabulary, ZoneTerms, words_of

ATLAS_SCHEMA = "knowmvg.atlas/1"
ATLAS_PATH = Path(__file__).parent / "data" / "atlas.yaml"
# Parts of the body to which the zones of the lung apply.
_ZONED = ("lungs", "pleura")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1)
    source: tuple[str, ...] = Field(min_length=1)


class Site(_Entry):
    """A place of the anatomy; ``zone`` is its level of the lung, ``side`` is ``None`` for midline structures."""

    about: str = Field(min_length=1)
    part_of: str | None = None
    side: Literal[Side.LEFT, Side.RIGHT] | None = None
    zone: str | None = None


class Zone(_Entry):
    """A level of the lung and the ``words`` for it; ``overlaps`` are the zones that share some of its area."""

    label: str | None = None
    words: tuple[str, ...] = ()
    side: Literal[Side.LEFT, Side.RIGHT] | None = None
    overlaps: tuple[str, ...] = ()


class FindingEntry(_Entry):
    """A finding, its other wordings, and the sites where it is typically seen."""

    about: str = Field(min_length=1)
    synonyms: tuple[str, ...] = ()
    sites: tuple[str, ...] = Field(min_length=1)


class Atlas(BaseModel):
    """Sites, zones and findings, all checked: every name is unique and every reference exists.

    ``sources`` maps the short keys of the entries to citations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["knowmvg.atlas/1"] = Field(alias="schema")
    licence: str = Field(min_length=1)
    sources: dict[str, str]
    zones: tuple[Zone, ...]
    sites: tuple[Site, ...]
    findings: tuple[FindingEntry, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    @cached_property
    def site(self) -> dict[str, Site]:
        """Sites by name."""
        return {site.name: site for site in self.sites}

    @cached_property
    def finding(self) -> dict[str, FindingEntry]:
        """Findings by canonical name."""
        return {finding.name: finding for finding in self.findings}

    def enclosing(self, site: str) -> tuple[str, ...]:
        """The sites around ``site``, from the nearest outwards."""
        around: list[str] = []
        parent = self.site[site].part_of
        while parent is not None:
            around.append(parent)
            parent = self.site[parent].part_of
        return tuple(around)

    def cite(self, entry: Site | FindingEntry) -> str:
        """The full citations of an entry."""
        return "; ".join(self.sources[key] for key in entry.source)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The atlas's words, for reading phrases."""
        overlaps = {zone.name: set(zone.overlaps) for zone in self.zones}
        for zone in self.zones:
            for other in zone.overlaps:
                overlaps[other].add(zone.name)
        return Vocabulary(
            findings={entry.name: self._terms(entry) for entry in self.findings},
            zones={
                zone.name: ZoneTerms(
                    label=zone.label or zone.name,
                    wordings=(zone.name, *zone.words),
                    side=zone.side,
                    overlaps=tuple(sorted(overlaps[zone.name])),
                )
                for zone in self.zones
            },
        )

    def _terms(self, entry: FindingEntry) -> FindingTerms:
        return FindingTerms(
            wordings=(entry.name, *entry.synonyms),
            sided=any(self.site[name].side for name in entry.sites),
            zoned=any(part in _ZONED for name in entry.sites for part in (name, *self.enclosing(name))),
        )


def load_atlas(path: Path | str | None = None) -> Atlas:
    """The atlas at ``path``, or the one that the package ships.

    Raises:
        KnowledgeError: the file is missing, too large, not YAML, or an entry is wrong; the message names the entry.
    """
    path = ATLAS_PATH if path is None else Path(path)
    raw = read_atlas_file(path)
    try:
        return Atlas.model_validate(raw)
    except ValidationError as error:
        raise KnowledgeError(f"an atlas of schema {ATLAS_SCHEMA} in {path}", _first(error, raw), _ADVICE) from error


_ADVICE = "Correct the entry; the comment at the head of the shipped atlas.yaml explains the format."


def _first(error: ValidationError, raw: Any) -> str:
    """The first problem of ``error`` with the name of its entry instead of its number."""
    problem = error.errors(include_url=False, include_context=False)[0]
    where = [str(part) for part in problem["loc"]]
    if len(where) > 1 and where[0] in ("sites", "zones", "findings") and isinstance(raw, dict):
        entry = raw[where[0]][int(where[1])]
        where[1] = repr(entry.get("name", f"number {int(where[1]) + 1}")) if isinstance(entry, dict) else where[1]
    message = problem["msg"].removeprefix("Value error, ")
    return f"{' > '.join(where)}: {message}" if where else message


def _problems(atlas: Atlas) -> Iterator[str]:
    """What is wrong between the entries of an atlas whose single entries are right."""
    yield from _repeated(atlas)
    entries = (*atlas.zones, *atlas.sites, *atlas.findings)
    for entry in entries:
        yield from (
            f"{entry.name!r} has the unknown source {key!r}" for key in entry.source if key not in atlas.sources
        )
    zones = {zone.name for zone in atlas.zones}
    for zone in atlas.zones:
        yield from (f"zone {zone.name!r} overlaps the unknown zone {n!r}" for n in zone.overlaps if n not in zones)
    for site in atlas.sites:
        if site.zone is not None and site.zone not in zones:
            yield f"site {site.name!r} lies in the unknown zone {site.zone!r}"
        if site.part_of is not None and site.part_of not in atlas.site:
            yield f"site {site.name!r} is part of the unknown site {site.part_of!r}"
    yield from _circles(atlas)
    for finding in atlas.findings:
        yield from (
            f"finding {finding.name!r} names the unknown site {n!r}" for n in finding.sites if n not in atlas.site
        )
        sides = {atlas.site[name].side for name in finding.sites if name in atlas.site} - {None}
        if len(sides) == 1:
            yield f"finding {finding.name!r} has sites on the {sides.pop()} side only"
        # The line goes into the texts of both sides, where it would contradict one.
        if {"left", "right"} & set(words_of(finding.about)):
            yield f"finding {finding.name!r} has 'left' or 'right' in its line `about`"


def _repeated(atlas: Atlas) -> Iterator[str]:
    named = [site.name for site in atlas.sites]
    named += [wording for entry in atlas.findings for wording in (entry.name, *entry.synonyms)]
    words = [words_of(name) for name in named]
    zone_words = [words_of(word) for zone in atlas.zones for word in (zone.name, *zone.words)]
    for group in (words, zone_words):
        for name, times in Counter(group).items():
            if not name:
                yield "a name or synonym has no letters"
            if times > 1:
                yield f"the name or synonym {' '.join(name)!r} is used {times} times"


def _circles(atlas: Atlas) -> Iterator[str]:
    for site in atlas.sites:
        seen, parent = {site.name}, site.part_of
        while parent in atlas.site:
            if parent in seen:
                yield f"site {site.name!r} is part of itself"
                break
            seen.add(parent)
            parent = atlas.site[parent].part_of
