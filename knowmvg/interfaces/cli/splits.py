"""``knowmvg splits``: a prepared folder divided anew, with lists of ids to publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowmvg.interfaces.cli import console

if TYPE_CHECKING:
    from knowmvg.sources.splits.assign import Division
    from knowmvg.sources.splits.resplit import Resplit

UNUSED_WORD = "unused"


def splits(
    folder: Annotated[Path, typer.Argument(help="A data set folder with manifest.jsonl.", show_default=False)],
    ratio: Annotated[
        str | None, typer.Option(metavar="TRAIN:VAL:TEST", help="Shares of patients, as 7:1:2.", show_default=False)
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Lists of ids: a JSON file, a folder with train.txt, val.txt and test.txt, or SPLIT=FILE; repeatable.",
            show_default=False,
        ),
    ] = None,
    official: Annotated[bool, typer.Option("--official", help="The splits that the data set came with.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of --ratio: the same seed gives the same patients.")] = 0,
    stratify: Annotated[
        bool, typer.Option("--stratify", help="Of --ratio: divide each finding like the whole.")
    ] = False,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Of --ratio: who is in this split stays there, and the others are divided.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="What --ids names: patient, study or image.", show_default="what fits best")
    ] = None,
    rest: Annotated[
        str | None,
        typer.Option(help="Where studies in no list go: train, val, test or unused.", show_default="they are refused"),
    ] = None,
    salted: Annotated[
        bool, typer.Option("--salted", help="Also write lists of hashed ids, to share those of credentialed sets.")
    ] = False,
    salt: Annotated[
        Path | None, typer.Option(help="File with the salt of hashed ids.", show_default="splits/salt.txt")
    ] = None,
) -> None:
    """Divide a data set into train, val and test, and write the lists of who is where.

    Exactly one of --ratio, --ids and --official. By --ratio no patient is in two splits. The manifest, splits/*.txt and
    splits.json are replaced; the official splits stay in splits/official. See docs/splits.md.
    """
    if sum((ratio is not None, bool(ids), official)) != 1:
        raise typer.BadParameter("expected exactly one of them", param_hint="--ratio, --ids, --official")
    for option, given, needed, where in (
        ("--by", by, ids, "--ids"),
        ("--rest", rest, ids, "--ids"),
        ("--stratify", stratify, ratio, "--ratio"),
        ("--keep", keep, ratio, "--ratio"),
        ("--salt", salt, ids or salted, "--ids or --salted"),
    ):
        if given and not needed:
            raise typer.BadParameter(f"expected only with {where}", param_hint=option)
    from knowmvg.sources.splits.id_lists import read_salt
    from knowmvg.sources.splits.resplit import resplit

    secret = read_salt(salt) if salt is not None else None
    if ratio is not None:
        division = _shares(ratio, seed, stratify, keep)
    else:
        division = _listed(folder, ids or [], by=by, rest=rest, salt=None if salted else secret)
    done = resplit(folder, division, salted=salted, salt=secret)
    _show(done)
    console.show_written(done.files, f"knowmvg leaks {folder}")


def _shares(ratio: str, seed: int, stratify: bool, keep: str | None) -> Division:
    from knowmvg.sources.splits.assign import ByShares
    from knowmvg.sources.splits.names import SPLITS
    from knowmvg.sources.splits.shares import Shares

    kept = next((split for split in SPLITS if split == keep), None)
    if keep is not None and kept is None:
        raise typer.BadParameter(f"expected {', '.join(SPLITS)}; got {keep!r}", param_hint="--keep")
    return ByShares(Shares.parse(ratio), seed, stratify, kept)


def _listed(folder: Path, ids: list[str], *, by: str | None, rest: str | None, salt: bytes | None) -> Division:
    from knowmvg.sources.splits.assign import ByLists
    from knowmvg.sources.splits.id_lists import read_id_lists
    from knowmvg.sources.splits.names import SPLITS, UNUSED, Unit
    from knowmvg.sources.splits.resplit import official

    if not ids:
        return official(folder)
    if by is not None and by not in list(Unit):
        raise typer.BadParameter(f"expected {', '.join(Unit)}; got {by!r}", param_hint="--by")
    if rest is not None and rest not in (*SPLITS, UNUSED_WORD):
        raise typer.BadParameter(f"expected {', '.join(SPLITS)} or {UNUSED_WORD}; got {rest!r}", param_hint="--rest")
    lists = read_id_lists(ids, salt)
    return ByLists(lists, Unit(by) if by else None, UNUSED if rest == UNUSED_WORD else rest)


def _show(done: Resplit) -> None:
    columns = ("patients", "images", "studies", "phrases", "boxes")
    table = console.plain_table("split", *columns, numbers=columns)
    for split, count in done.counts.items():
        if split or count.studies:
            numbers = (count.patients, count.images, count.studies, count.phrases, count.boxes)
            table.add_row(split or UNUSED_WORD, *(f"{number:,}" for number in numbers))
    console.out().print(table)
    warnings = [
        f"{number} patient{' is' if number == 1 else 's are'} both in {one} and in {other}: a test on this division is "
        "invalid"
        for (one, other), number in done.shared_patients.items()
    ]
    if done.unknown_ids:
        ids = "1 listed id is" if done.unknown_ids == 1 else f"{done.unknown_ids} listed ids are"
        warnings.append(f"{ids} not in the data set")
    console.show_warnings(warnings)
