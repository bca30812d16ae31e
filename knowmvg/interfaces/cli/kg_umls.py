"""``knowmvg kg umls``: a release of the user's own into a database, and terms looked up in it or through the API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from knowmvg.core.records import DISCLAIMER
from knowmvg.interfaces.cli import console

if TYPE_CHECKING:
    from knowmvg.knowledge.entities import Entity
    from knowmvg.knowledge.graph import KnowledgeGraph
    from knowmvg.knowledge.ontology import Atlas
    from knowmvg.knowledge.umls.concepts import Concepts, Match
    from knowmvg.knowledge.umls.locate import Located

_MANY = 10  # entities that a warning names at most
NOTICE = "UMLS content is licensed to you by NLM: keep this file to yourself."

umls = typer.Typer(no_args_is_help=True, help="Use your own licensed copy of UMLS, or its API.", add_completion=False)


@umls.callback()
def _umls() -> None:
    """Use your own licensed copy of UMLS, or its API."""


@umls.command("import")
def import_umls(
    meta: Annotated[
        Path, typer.Argument(metavar="META", help="META folder, or archives of a release.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The database to write.")],
    language: Annotated[list[str] | None, typer.Option(help="A language; may be repeated.", show_default="ENG")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="A vocabulary, as SNOMEDCT_US; may be repeated.", show_default="all")
    ] = None,
    suppressed: Annotated[bool, typer.Option("--suppressed", help="Keep suppressed and obsolete rows too.")] = False,
    release: Annotated[
        str | None, typer.Option(help="The release, as 2025AB.", show_default="as release.dat says")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Drop what an interrupted import left.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier database.")] = False,
) -> None:
    """Import a UMLS release into one file. An import that was interrupted goes on where it stood.

    Needed are MRCONSO, MRREL, MRSTY and MRDEF in Rich Release Format. See docs/umls.md.
    """
    from knowmvg.knowledge.umls.choice import Choice
    from knowmvg.knowledge.umls.importer import import_release

    choice = Choice(tuple(language or ("ENG",)), tuple(source or ()), suppressed)
    try:
        with console.stage_bars() as progress:
            done = import_release(
                meta, out, choice=choice, name=release, restart=restart, overwrite=overwrite, progress=progress
            )
    except KeyboardInterrupt:
        console.show_warnings([f"the rows read so far are in {out}.partial: the same command goes on with them"])
        raise
    screen = console.out()
    if done.resumed:
        screen.print(f"went on after {done.resumed:,} rows of an earlier run")
    table = console.plain_table("file", "rows", "left out", "why", wide=("why",))
    for file, rows in done.rows.items():
        reasons = {key.partition(": ")[2]: n for key, n in done.left_out.items() if key.startswith(f"{file}: ")}
        why = ", ".join(f"{n:,} {reason}" for reason, n in sorted(reasons.items()))
        table.add_row(file, f"{rows:,}", f"{sum(reasons.values()):,}", why)
    screen.print(table)
    around = next((folder for folder in out.resolve().parents if (folder / ".git").exists()), None)
    shared = [f"{out} lies in the git work tree {around}: do not commit it"] if around else []
    console.show_warnings((*done.warnings, f"UMLS {done.release}. {NOTICE}", *shared))
    console.show_written([out], f"knowmvg kg umls lookup 'pleural effusion' --umls {out}")


@umls.command("lookup")
def lookup(
    term: Annotated[str, typer.Argument(help="A term, such as 'pleural effusion'.", show_default=False)],
    database: Annotated[Path | None, typer.Option("--umls", help="A database of `import`.", show_default=False)] = None,
    api: Annotated[
        Path | None, typer.Option(help="Ask the API instead; folder for its answers.", show_default=False)
    ] = None,
    release: Annotated[str, typer.Option(help="The release to ask the API for.")] = "current",
    base_url: Annotated[str | None, typer.Option(help="Address of the API.", show_default="NLM's")] = None,
    hops: Annotated[int, typer.Option(min=0, max=10, help="How many levels of 'is a' to go up for a site.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")] = False,
) -> None:
    """Show the concepts of a term, the best first, and where UMLS locates them.

    With --api the term is sent to NLM, with the key in the variable UMLS_API_KEY. Never send text of a report.
    """
    from knowmvg.knowledge.ontology import load_atlas
    from knowmvg.knowledge.umls.locate import locate
    from knowmvg.knowledge.umls.sites import anatomy_terms

    with opened(database, api, release=release, base_url=base_url) as concepts:
        matches = concepts.lookup(term)
        anatomy = anatomy_terms(load_atlas())
        found = [(match, locate(match.cui, concepts, hops=hops, anatomy=anatomy)) for match in matches]
        if as_json:
            answer = {"release": concepts.release, "licence": "UMLS", "notice": DISCLAIMER}
            typer.echo(
                json.dumps(answer | {"concepts": [_plain(*pair) for pair in found]}, indent=2, ensure_ascii=False)
            )
            return
        screen = console.out()
        if not found:
            screen.print(f"UMLS {concepts.release} has no such term in the languages and vocabularies asked.")
            return
        table = console.plain_table("cui", "name", "source", "types", "located in", wide=("name", "located in"))
        for match, sites in found:
            where = "; ".join(f"{site.name.text} ({_how(site)})" for site in sites)
            cells = (match.cui, match.name.text, f"{match.matched.source} {match.matched.term_type}")
            table.add_row(*map(Text, (*cells, " ".join(match.types), where)))
        screen.print(table)
        if len(found) > 1:
            screen.print(f"The term is ambiguous: {len(found)} concepts. The first that is no body part counts.")
        screen.print(Text(DISCLAIMER, "dim"))


@contextmanager
def opened(
    database: Path | None, api: Path | None, *, release: str = "current", base_url: str | None = None
) -> Iterator[Concepts]:
    """UMLS as a database or through the API; exactly one of ``database`` and ``api`` (its cache folder) is given.

    Raises:
        typer.BadParameter: none or both are given.
        KnowledgeError: the database cannot be opened, or there is no key.
    """
    if (database is None) == (api is None):
        raise typer.BadParameter("expected one of --umls FILE and --api FOLDER", param_hint="--umls")
    if database is not None:
        from knowmvg.knowledge.umls.store import UmlsStore

        with UmlsStore(database) as store:
            yield store
        return
    from knowmvg.knowledge.umls.rest import RestConcepts
    from knowmvg.knowledge.umls.rest_client import BASE_URL, RestClient, cache_for, key_from

    assert api is not None
    client = RestClient(key_from(), cache_for(api, release), base_url=base_url or BASE_URL)
    try:
        yield RestConcepts(client, version=release)
    finally:
        client.close()


def located_by_umls(
    entities: Mapping[str, Entity],
    atlas: Atlas,
    *,
    database: Path | None = None,
    api: Path | None = None,
    release: str = "current",
) -> KnowledgeGraph:
    """For ``knowmvg kg build``: the graph of ``entities`` by UMLS, with a bar, and warnings of what it does not locate.

    Raises:
        typer.BadParameter: not exactly one of ``database`` and ``api`` is given.
        KnowledgeError: see ``umls_graph_of`` and ``opened``.
    """
    from knowmvg.knowledge.umls.graph import umls_graph_of

    with opened(database, api, release=release) as concepts, console.stage_bars() as progress:
        total = len(entities)
        built = umls_graph_of(entities, atlas, concepts, progress=lambda done: progress("located", done, total))
    for what, names in (
        ("UMLS does not know, so that they have no site", built.unknown),
        ("UMLS knows but does not locate on their side and zone", built.unplaced),
        ("stand for several concepts, of which the first with a site was taken", built.ambiguous),
    ):
        if names:
            shown = ", ".join(names[:_MANY]) + (" ..." if len(names) > _MANY else "")
            console.show_warnings([f"{len(names)} entities {what}: {shown}"])
    return built.graph


def _how(site: Located) -> str:
    how = "definition" if site.kind is None else site.kind.name.lower().replace("_", " ")
    return f"{how}, {site.hops} up" if site.hops else how


def _plain(match: Match, sites: tuple[Located, ...]) -> dict[str, Any]:
    return {
        "cui": match.cui,
        "name": match.name.text,
        "matched": {"text": match.matched.text, "source": match.matched.source, "term_type": match.matched.term_type},
        "types": list(match.types),
        "sites": [
            {"cui": s.cui, "name": s.name.text, "by": _how(s), "hops": s.hops, "sources": list(s.sources)}
            for s in sites
        ],
    }
