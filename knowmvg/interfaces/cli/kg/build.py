"""``knowmvg kg build``: a data set's training split to a knowledge graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from knowmvg.core.errors import KnowledgeError, OutputError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.kg_umls import located_by_umls
from knowmvg.interfaces.cli.recorded import chosen

_MANY = 10  # findings that the atlas lacks, at most, in the table


def build(
    data: Annotated[Path, typer.Argument(help="Data set folder with manifest.jsonl.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The graph to write, a JSON file.", show_default=False)],
    atlas: Annotated[
        Path | None, typer.Option(help="An atlas of your own (`knowmvg kg atlas`).", show_default="the open atlas")
    ] = None,
    extractor: Annotated[
        str, typer.Option(help="What finds the entities: lexicon, or scispacy with the extra knowmvg[scispacy].")
    ] = "lexicon",
    model: Annotated[str, typer.Option(help="For scispacy: the installed model or its folder.")] = "en_core_sci_sm",
    split: Annotated[str, typer.Option(help="Which studies; a graph of others leaks them into a model.")] = "train",
    texts: Annotated[
        str, typer.Option(help="What is read of a study: phrases (as labelled), report, or both.")
    ] = "both",
    min_count: Annotated[int, typer.Option(min=1, help="Leave out entities that fewer phrases name.")] = 1,
    relation: Annotated[
        list[str] | None,
        typer.Option(
            help="Facts to hold, and no others: located_in, part_of, is_a; can be given again.",
            show_default="located_in",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Processes.", show_default="one a core")] = None,
    umls: Annotated[
        Path | None,
        typer.Option(help="Locate by UMLS instead: a database of `knowmvg kg umls import`.", show_default=False),
    ] = None,
    umls_api: Annotated[
        Path | None,
        typer.Option(help="Locate by the UMLS API instead: folder for its answers.", show_default=False),
    ] = None,
    umls_release: Annotated[str, typer.Option(help="The release to ask the API for.")] = "current",
    allow_licensed: Annotated[
        bool, typer.Option("--allow-licensed", help="Write licensed content where it can be shared. Mind its licence.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier graph.")] = False,
) -> None:
    """Build the knowledge graph of a data set from its training split.

    Entities are read from the reports and labelled phrases of one split alone, and located by the atlas, or by a UMLS
    release of your own. See docs/knowledge.md, docs/atlas.md and docs/umls.md.
    """
    from knowmvg.knowledge.build import graph_of
    from knowmvg.knowledge.entities import extract_entities
    from knowmvg.knowledge.graph import ENDS, LOCATED_IN, save_graph
    from knowmvg.knowledge.licences import refuse_licences
    from knowmvg.knowledge.ontology import load_atlas
    from knowmvg.sources.harvest import Reader, Texts, harvest
    from knowmvg.sources.manifest import read_rows
    from knowmvg.sources.splits.empty import no_studies

    extractor = chosen("--extractor", extractor, ("lexicon", "scispacy"))
    kinds = Texts(chosen("--texts", texts, tuple(Texts)))
    relations = {chosen("--relation", name, tuple(ENDS)) for name in relation or [LOCATED_IN]}
    if out.exists() and not overwrite:
        raise OutputError("a new file", f"one at {out}", "Give another path, or --overwrite.")
    if not out.parent.is_dir():
        raise OutputError("a file in an existing folder", f"no folder {out.parent}", "Make the folder first.")
    by_umls = umls is not None or umls_api is not None
    if by_umls and relations != {LOCATED_IN}:
        raise typer.BadParameter("expected located_in alone with UMLS", param_hint="--relation")
    used = load_atlas(atlas)
    licences = {used.licence, *(["UMLS"] if by_umls else [])}
    refuse_licences(licences, out.parent, allow_licensed=allow_licensed)  # before the work, not after it
    reader = Reader(used, kinds, extract_entities)
    if extractor == "scispacy":
        from knowmvg.knowledge.spacy_entities import SpacyExtractor

        reader, workers = Reader(used, kinds, SpacyExtractor.load(model)), 1
    with console.stage_bars() as bars:
        rows = read_rows(data, split)
        found = harvest(rows, reader, workers=workers or _cores(), progress=lambda n: bars("studies", n, None))
    if not found.studies:
        raise no_studies(data, split)
    kept = {text: entity for text, entity in found.entities.items() if entity.count >= min_count}
    if found.entities and not kept:
        most = max(entity.count for entity in found.entities.values())
        raise KnowledgeError(f"entities that {min_count} phrases name", f"{most} at most", "Lower --min-count.")
    if by_umls:
        graph = located_by_umls(kept, used, database=umls, api=umls_api, release=umls_release)
    else:
        graph = graph_of(kept, used, relations=[name for name in ENDS if name in relations])
    save_graph(graph, out, allow_licensed=allow_licensed)
    table = console.plain_table("", "")
    for name, value in (
        (f"studies of the split {split}", found.studies),
        ("phrases that place a finding", found.phrases),
        ("entities", sum(node.kind == "entity" for node in graph.nodes)),
        ("left out by --min-count", len(found.entities) - len(kept)),
        ("sites", sum(node.kind == "site" for node in graph.nodes)),
        ("facts", len(graph.triplets)),
    ):
        table.add_row(name, str(value))
    console.out().print(table)
    console.show_warnings(_warnings(found.unknown, split))
    console.show_written([out], f"knowmvg kg export {out} --format html --out {out.with_suffix('.html')}")


def _warnings(unknown: dict[str, int], split: str) -> list[str]:
    warnings = [] if split == "train" else [f"the graph was built from the split {split}: do not train with it"]
    named = sorted((name for name in unknown if name), key=lambda name: (-unknown[name], name))
    if named:
        shown = ", ".join(f"{name} ({unknown[name]})" for name in named[:_MANY])
        warnings.append(f"findings that the atlas does not know: {shown}{' ...' if len(named) > _MANY else ''}")
    if unknown.get(""):
        warnings.append(f"{unknown['']} labelled phrases name no finding of the atlas")
    return warnings


def _cores() -> int:
    return max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
