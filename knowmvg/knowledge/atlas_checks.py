"""What is wrong between the entries of an atlas whose single entries are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from knowmvg.knowledge.vocabulary import words_of

if TYPE_CHECKING:
    from knowmvg.knowledge.ontology import Atlas, FindingEntry


def problems(atlas: Atlas) -> Iterator[tuple[str, str]]:
    """Each problem with the name of an entry that it concerns, so that its file and line can be found."""
    yield from _repeated(atlas)
    for entry in (*atlas.zones, *atlas.sites, *atlas.findings):
        for key in entry.source:
            if key not in atlas.sources:
                yield entry.name, f"{entry.name!r} has the unknown source {key!r}"
    zones = {zone.name for zone in atlas.zones}
    for zone in atlas.zones:
        for other in zone.overlaps:
            if other not in zones:
                yield zone.name, f"zone {zone.name!r} overlaps the unknown zone {other!r}"
    for site in atlas.sites:
        if site.zone is not None and site.zone not in zones:
            yield site.name, f"site {site.name!r} lies in the unknown zone {site.zone!r}"
        if site.part_of is not None and site.part_of not in atlas.site:
            yield site.name, f"site {site.name!r} is part of the unknown site {site.part_of!r}"
    yield from _circles({site.name: site.part_of for site in atlas.sites}, "site {!r} is part of itself")
    for finding in atlas.findings:
        for problem in _finding_problems(finding, atlas):
            yield finding.name, f"finding {finding.name!r} {problem}"
    yield from _circles({entry.name: entry.is_a for entry in atlas.findings}, "finding {!r} is a kind of itself")


def _finding_problems(finding: FindingEntry, atlas: Atlas) -> Iterator[str]:
    for name in finding.sites:
        if name not in atlas.site:
            yield f"names the unknown site {name!r}"
    sides = {atlas.site[name].side for name in finding.sites if name in atlas.site} - {None}
    if len(sides) == 1:
        yield f"has sites on the {sides.pop()} side only"
    # The line goes into the texts of both sides, where it would contradict one.
    if {"left", "right"} & set(words_of(finding.about)):
        yield "has 'left' or 'right' in its line `about`"
    if finding.is_a is not None and finding.is_a not in atlas.finding:
        yield f"is a kind of the unknown finding {finding.is_a!r}"


def _repeated(atlas: Atlas) -> Iterator[tuple[str, str]]:
    named = [(entry.name, words_of(wording)) for entry in atlas.named for wording in (entry.name, *entry.synonyms)]
    zoned = [(zone.name, words_of(word)) for zone in atlas.zones for word in (zone.name, *zone.words)]
    for group in (named, zoned):
        times = Counter(words for _, words in group)
        last = {words: name for name, words in group}
        for words, count in times.items():
            if not words:
                yield last[words], f"a name or synonym of {last[words]!r} has no letters"
            if count > 1:
                yield (
                    last[words],
                    f"the name or synonym {' '.join(words)!r} is used {count} times, also by {last[words]!r}",
                )


def _circles(parents: Mapping[str, str | None], problem: str) -> Iterator[tuple[str, str]]:
    for name, parent in parents.items():
        seen = {name}
        while parent is not None and parent in parents:
            if parent in seen:
                yield name, problem.format(name)
                break
            seen.add(parent)
            parent = parents[parent]
