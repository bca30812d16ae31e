"""The page of the open atlas, written from its own files (docs/atlas.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from knowmvg.knowledge.ontology import Atlas, FindingEntry, Site, load_atlas

INTRODUCTION = """# The open atlas

What the knowledge graph may know: {findings} findings, {devices} devices and {sites} anatomical sites of the frontal
chest radiograph, each with synonyms, the places where it is typically seen and the sources that say so. It was written
for this project from textbooks and open articles, in our own words, and is under {licence} like the code. It holds
nothing of UMLS, RadLex or SNOMED CT. This page is written by `python -m knowmvg.knowledge.atlas_page docs/atlas.md`.

It covers the labels of MS-CXR, ChestX-ray14, CheXpert and VinDr-CXR and the common ones of PadChest-GR (a test holds it
to that), and every finding of the report parser by the same name. Sites are typical, not exhaustive, and for frontal
radiographs of adults. It is a research resource and has been reviewed by no radiologist yet: corrections are welcome.

## An atlas of your own

```bash
knowmvg kg atlas my-atlas                      # copies the four files, with comments that explain them
$EDITOR my-atlas/findings.yaml
knowmvg kg atlas my-atlas                      # all is well, or: file, line, entry and what is wrong
knowmvg kg inspect "pleural effusion" --atlas my-atlas
knowmvg kg build DATA --atlas my-atlas --out graph.json
```

| file | what |
|---|---|
| `sources.yaml` | books and papers by a short key; every entry of the other files names at least one |
| `anatomy.yaml` | words for levels of the lung, and the tree of sites (`part_of`) |
| `findings.yaml` | findings: name, synonyms, `is_a`, one line about them, typical sites |
| `devices.yaml` | devices and what an operation leaves, in the same form |

A single file with all lists works as well, as does any number of `*.yaml` files in a folder. Change `licence` if yours
is not {licence}: a licence that does not let anyone pass the content on keeps graphs in private folders
([knowledge.md](knowledge.md)).

## Entities by scispaCy

The paper finds entities with scispaCy; here the words of the atlas do it, because they need no model and no download.
With `knowmvg kg build --extractor scispacy` a scispaCy model says which spans are entities, and the atlas what they
are. Spans that the atlas does not know give no node.

```bash
pip install "knowmvg[scispacy]"                # spaCy 3.8
pip install --no-deps MODEL_URL                # en_core_sci_sm, _md or _lg 0.5.4 from the scispaCy releases
knowmvg kg build DATA --extractor scispacy --model en_core_sci_sm --out graph.json
```

* The extra installs **spaCy 3.8** (numpy 2, Python 3.9 to 3.13), which is all that a model needs to find entities.
* The **models `en_core_sci_*` 0.5.4** ask for spaCy below 3.8; `--no-deps` keeps 3.8. spaCy then warns (W095) that the
  model was made with 3.7; scispaCy's maintainers and users report that it works (allenai/scispacy#551, #545).
* The **package scispaCy 0.6.2** is not installed. It asks for Python 3.10 to 3.12, spaCy 3.7 or 3.8, numpy below 2 and
  nmslib, and knowmvg needs numpy 2. Only its linker and its abbreviation finder need it; neither is used here.

These versions were read in scispaCy's own metadata and threads. The adapter is tested with a spaCy pipeline of the
tests' own in the place of the model; with a scispaCy model itself it could not be tried here.
"""

SOURCES = "\n## Sources\n\n"


def page(atlas: Atlas | None = None) -> str:
    """The page as the text of its file."""
    atlas = atlas or load_atlas()
    findings = [entry for entry in atlas.findings if entry.kind == "finding"]
    devices = [entry for entry in atlas.findings if entry.kind == "device"]
    blocks = [
        INTRODUCTION.format(
            findings=len(findings), devices=len(devices), sites=len(atlas.sites), licence=atlas.licence
        ),
        "\n## Findings\n\nThe most typical site comes first; (L, R) stands for both sides.\n\n"
        + _table(_FINDING_HEAD, (_finding(entry, atlas) for entry in findings)),
        "\n## Devices\n\n" + _table(_FINDING_HEAD, (_finding(entry, atlas) for entry in devices)),
        "\n## Anatomy\n\nA paired site stands once, with (L, R). Indented sites are part of the one above.\n\n",
        _table(("site", "how to find it", "zone", "other names", "sources"), _anatomy(atlas)),
        "\n## Zones\n\n",
        _table(("zone", "words", "shares area with", "sources"), _zones(atlas)),
        SOURCES + "".join(f"* `{key}`: {citation}\n" for key, citation in atlas.sources.items()),
    ]
    return "".join(blocks)


def write_page(path: Path) -> None:
    """Write the page of the shipped atlas."""
    path.write_text(page(), encoding="utf-8")


_FINDING_HEAD = ("name", "what is seen", "typical sites", "synonyms", "is a", "sources")


def _finding(entry: FindingEntry, atlas: Atlas) -> tuple[str, ...]:
    sites = ", ".join(_once(entry.sites, atlas))
    return f"**{entry.name}**", entry.about, sites, ", ".join(entry.synonyms), entry.is_a or "", _keys(entry.source)


def _anatomy(atlas: Atlas) -> Iterator[tuple[str, ...]]:
    roots = [site for site in atlas.sites if site.part_of is None]
    for root in roots:
        yield from _branch(root, atlas, 0)


def _branch(site: Site, atlas: Atlas, depth: int) -> Iterator[tuple[str, ...]]:
    """A site and its parts; of a pair the left one stands for both."""
    if _mirror(site.name, "right", "left") in atlas.site and "right" in site.name.split() and site.side is not None:
        return
    name = _pair(site.name, atlas)
    indent = "&emsp;" * depth
    synonyms = ", ".join(_pair(synonym, atlas, site.name) for synonym in site.synonyms)
    yield f"{indent}{name}", site.about, site.zone or "", synonyms, _keys(site.source)
    parts = [atlas.site[part] for part in atlas.parts(site.name)]
    other = _mirror(site.name, "left", "right")
    if site.side is not None and other != site.name and other in atlas.site:
        # what only the other side has
        parts += [
            atlas.site[part]
            for part in atlas.parts(other)
            if _mirror(part, "right", "left") not in atlas.site or "right" not in part.split()
        ]
    for part in parts:
        yield from _branch(part, atlas, depth + 1)


def _zones(atlas: Atlas) -> Iterator[tuple[str, ...]]:
    for zone in atlas.zones:
        overlaps = ", ".join(atlas.vocabulary.zones[zone.name].overlaps)
        yield f"**{zone.name}**", ", ".join(zone.words), overlaps, _keys(zone.source)


def _once(names: Iterable[str], atlas: Atlas) -> Iterator[str]:
    yield from dict.fromkeys(_pair(name, atlas) for name in names)


def _pair(name: str, atlas: Atlas, owner: str | None = None) -> str:
    """``left lung`` and ``right lung`` as ``lung (L, R)``; ``owner`` is the site that a synonym belongs to."""
    site = owner or name
    twins = (_mirror(site, "left", "right"), _mirror(site, "right", "left"))
    if atlas.site[site].side is None or not any(twin != site and twin in atlas.site for twin in twins):
        return name
    words = [word for word in name.split() if word not in ("left", "right")]
    return " ".join(words) + ("" if owner else " (L, R)")


def _mirror(name: str, one: str, other: str) -> str:
    return " ".join(other if word == one else word for word in name.split())


def _keys(keys: Iterable[str]) -> str:
    return ", ".join(keys)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
