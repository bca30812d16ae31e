"""The open atlas: anatomy of the frontal chest radiograph and where findings are seen on it (data/atlas/*.yaml)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Side
from knowmvg.knowledge.atlas_checks import problems
from knowmvg.knowledge.atlas_file import LISTS, AtlasText, read_atlas
from knowmvg.knowledge.vocabulary import FindingTerms, Vocabulary, ZoneTerms, words_of

ATLAS_SCHEMA = "knowmvg.atlas/1"
ATLAS_PATH = Path(__file__).parent / "data" / "atlas"
# Parts of the body to which the zones of the lung apply.
_ZONED = ("lungs", "pleura")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, pattern=r"^[^<>]+$")
    source: tuple[str, ...] = Field(min_length=1)


class Site(_Entry):
    """A place of the anatomy; ``zone`` is its level of the lung, ``side`` is ``None`` for midline structures."""

    about: str = Field(min_length=1)
    part_of: str | None = None
    synonyms: tuple[str, ...] = ()
    side: Literal[Side.LEFT, Side.RIGHT] | None = None
    zone: str | None = None


class Zone(_Entry):
    """A level of the lung and the ``words`` for it; ``overlaps`` are the zones that share some of its area."""

    label: str | None = None
    words: tuple[str, ...] = ()
    side: Literal[Side.LEFT, Side.RIGHT] | None = None
    overlaps: tuple[str, ...] = ()


class FindingEntry(_Entry):
    """A finding or device, its other wordings, and the sites where it is typically seen, the most typical first.

    ``is_a`` is the more general finding: a rib fracture is a fracture.
    """

    kind: Literal["finding", "device"] = "finding"
    about: str = Field(min_length=1)
    synonyms: tuple[str, ...] = ()
    is_a: str | None = None
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
        for entry, problem in problems(self):
            raise PydanticCustomError("atlas", "{problem}", {"problem": problem, "entry": entry})
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

    def more_general(self, finding: str) -> tuple[str, ...]:
        """The findings of which ``finding`` is a kind, from the nearest outwards."""
        return self.vocabulary.more_general(finding)

    def parts(self, site: str) -> tuple[str, ...]:
        """The sites directly inside ``site``, in the atlas's order."""
        return tuple(other.name for other in self.sites if other.part_of == site)

    @property
    def named(self) -> tuple[Site | FindingEntry, ...]:
        """Findings and sites: what has synonyms."""
        return (*self.findings, *self.sites)

    def look_up(self, term: str) -> Site | FindingEntry | None:
        """The site or finding with this name or synonym; case, plural and punctuation do not matter."""
        wanted = words_of(term)
        for entry in self.named:
            if wanted in map(words_of, (entry.name, *entry.synonyms)):
                return entry
        return None

    def cite(self, entry: Site | Zone | FindingEntry) -> str:
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
            is_a=entry.is_a,
        )


def load_atlas(path: Path | str | None = None) -> Atlas:
    """The atlas at ``path``, a folder of YAML files or one file, or the one that the package ships.

    Raises:
        KnowledgeError: a file is missing, too large, not YAML, or an entry is wrong; the message names file and entry.
    """
    path = ATLAS_PATH if path is None else Path(path)
    text = read_atlas(path)
    try:
        return Atlas.model_validate(text.content)
    except ValidationError as error:
        raise KnowledgeError(f"an atlas of schema {ATLAS_SCHEMA} in {path}", _first(error, text), _ADVICE) from error


_ADVICE = "Correct the entry; the comments at the heads of the shipped files explain the format (`knowmvg kg atlas`)."


def _first(error: ValidationError, text: AtlasText) -> str:
    """The first problem of ``error`` with the file, line and name of its entry instead of its number."""
    problem = error.errors(include_url=False)[0]
    where = [str(part) for part in problem["loc"]]
    place = None
    if len(where) > 1 and where[0] in LISTS:
        entry = text.content[where[0]][int(where[1])]
        place = text.place(where[0], int(where[1]))
        where[1] = repr(entry.get("name", f"number {int(where[1]) + 1}")) if isinstance(entry, dict) else where[1]
    elif entry := problem.get("ctx", {}).get("entry"):
        place = text.place_of(entry)
    message = f"{' > '.join(where)}: {problem['msg']}" if where else problem["msg"]
    return message if place is None else f"{message} ({place})"
