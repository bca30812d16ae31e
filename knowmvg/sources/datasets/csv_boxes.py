"""Any table of boxes: a row for each box, columns named by options; CSV, gzip or not, with a header.

Rows of an image with the same phrase are one phrase with several boxes. A row without a box is a phrase without boxes;
one without phrase and box names an image on which there is nothing. What belongs to the image (patient, split, report,
size) may stand in each of its rows or in one; two different values are a contradiction.

Options, each the name of a column and by default what it is called here: ``image`` (the file's name in the folder of
images), ``phrase``, ``category``, ``assertion``, ``study``, ``patient``, ``split``, ``report``, ``width``, ``height``.
Only ``image``, one of ``phrase`` and ``category``, and the columns of the box must be there; a column that an option
names must be there too. ``box`` is ``xyxy`` (the default), ``xywh`` or ``cxcywh``; ``box_columns`` are its four
columns, joined by commas (``x1,y1,x2,y2``, ``x,y,w,h`` or ``cx,cy,w,h``). ``coordinates`` is ``pixels`` (the default)
or ``normalised``, fractions of the image's sides. ``delimiter`` is ``comma``, ``semicolon`` or ``tab``; ``suffix`` is
added to the image's name where the table leaves it out. ``name`` and ``credentialed`` (``yes``, the default, or ``no``)
are of the set.

The layout is the user's, so nothing of it could be verified. Images without a patient count as patients of their own;
without a report, the phrases joined stand for it.

Memory: rows are gathered by image in a temporary database; nothing grows with the set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knowmvg.core.boxes import cxcywh_to_xyxy, xywh_to_xyxy
from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.core.records import Assertion
from knowmvg.sources.datasets.categories import finding_named
from knowmvg.sources.datasets.gathering import Gathering
from knowmvg.sources.datasets.grouped import Drawn, ImageFacts, grouped_study
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.placing import box_from_xyxy, image_side
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice, flag, word
from knowmvg.sources.datasets.stored import box_from_fractions, stored_size
from knowmvg.sources.datasets.tables import TableRow, UnusableError, finite, read_table
from knowmvg.sources.manifest import StudyRow

COLUMNS = ("image", "phrase", "category", "assertion", "study", "patient", "split", "report", "width", "height")
FORMS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "xyxy": ("x1,y1,x2,y2", lambda boxes: boxes),
    "xywh": ("x,y,w,h", lambda boxes: xywh_to_xyxy(boxes).tolist()),
    "cxcywh": ("cx,cy,w,h", lambda boxes: cxcywh_to_xyxy(boxes).tolist()),
}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
_OF_IMAGE = ("study", "patient", "split", "report", "width", "height")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what. ``columns`` is by the names of ``COLUMNS``; ``needed`` must be there."""

    columns: Mapping[str, str]
    corners: tuple[str, ...]
    needed: tuple[str, ...]
    form: str = "xyxy"
    normalised: bool = False
    delimiter: str = ","
    suffix: str = ""

    def rows(self, path: Path) -> Iterator[TableRow | Fault]:
        """The rows of the table. Raises ``ManifestError`` as ``read_table``."""
        return read_table(path, self.needed, optional=self.columns.values(), delimiter=self.delimiter)

    def value(self, row: TableRow, name: str) -> str:
        """The field of a column of ``COLUMNS``, empty where the table has none."""
        return row.values.get(self.columns[name], "")


def open_csv(places: Places, options: Mapping[str, str]) -> CsvReader:
    """The reader of the table in ``--annotations``, or of the only one in ``--root``; options as the module says.

    Raises:
        ManifestError: no such table, or one without a column that must be there.
        RecipeError: an option with a value that it does not have.
    """
    layout, table = _layout(options), _table(places)
    first = next((row for row in layout.rows(table) if isinstance(row, TableRow)), None)
    if first is not None and not {layout.columns["phrase"], layout.columns["category"]} & first.values.keys():
        got = f"neither in line 1 of {table}"
        todo = "Name it with the option phrase or category."
        raise ManifestError("a column of phrases or of categories", got, todo)
    patients = first is not None and layout.columns["patient"] in first.values
    notes = () if patients else ("No column of patients: each image counts as a patient of its own.",)
    facts = DatasetFacts(
        options.get("name", "CSV"), "as given", "as given by the user", flag(options, "credentialed", True), "", notes
    )
    return CsvReader(facts, places.images or places.root, (table,), layout)


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Rows of a table of boxes; see the module and ``open_csv``."""

    facts: DatasetFacts
    image_root: Path
    files: tuple[Path]
    layout: Layout

    def read(self) -> Iterator[StudyRow | Fault]:
        """The images in the order of their first rows; faults of single rows come first."""
        with Gathering() as images:
            for row in self.layout.rows(self.files[0]):
                if isinstance(row, Fault):
                    yield row
                    continue
                try:
                    image = row.text(self.layout.columns["image"]) + self.layout.suffix
                    said = {name: self.layout.value(row, name) for name in _OF_IMAGE}
                    drawn, corners = self._drawn(row)
                except UnusableError as reason:
                    yield row.fault(reason)
                    continue
                if drawn is not None and drawn.broken is not None:
                    yield row.fault(UnusableError(*drawn.broken))
                content = None if drawn is None else drawn.stored()
                images.add(image, [row.file, row.line, said, content, corners])
            for image, rows in images:
                yield from self._study(image, rows)

    def _study(self, image: str, rows: list[Any]) -> Iterator[StudyRow | Fault]:
        file, line = rows[0][:2]
        try:
            facts = _facts(image, file, line, [said for _, _, said, _, _ in rows])
            if self.layout.normalised and not facts.width:
                width, height = stored_size(self.image_root, image)
                facts = replace(facts, width=width, height=height)
        except UnusableError as reason:
            yield Fault(reason.kind, file, line, reason.detail, kept=False)
            return
        drawn = list[Drawn]()
        for *_, content, corners in rows:
            if content is None:
                continue
            one = Drawn.of(content)
            try:
                drawn.append(one if corners is None else replace(one, box=self._box(corners, facts)))
            except UnusableError as reason:
                yield one.fault(reason.kind, reason.detail, kept=False)
                drawn.append(replace(one, broken=(reason.kind, reason.detail)))
        yield from grouped_study(facts, drawn)

    def _drawn(self, row: TableRow) -> tuple[Drawn | None, list[float] | None]:
        """The phrase of a row and its four numbers, each ``None`` where there is none."""
        category = self.layout.value(row, "category")
        text = self.layout.value(row, "phrase") or category
        empty = all(row.values[name].casefold() in ("", "nan") for name in self.layout.corners)
        if not text and empty:
            return None, None
        if not text:
            raise UnusableError("no phrase", "a box without phrase and category")
        assertion = self._assertion(row)
        one = Drawn(text, finding_named(category) if category else None, None, assertion, row.file, row.line)
        if empty:
            return one, None
        try:
            return one, [row.number(name) for name in self.layout.corners]
        except UnusableError as reason:
            return replace(one, broken=(reason.kind, reason.detail)), None

    def _assertion(self, row: TableRow) -> Assertion | None:
        said = self.layout.value(row, "assertion").casefold()
        if said and said not in list(Assertion):
            raise UnusableError("unknown assertion", f"none of {', '.join(Assertion)}")
        return Assertion(said) if said else None

    def _box(self, corners: Sequence[float], facts: ImageFacts) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = FORMS[self.layout.form][1]([corners])[0]
        if self.layout.normalised:
            return box_from_fractions((x1, y1, x2, y2), (facts.width, facts.height))
        return box_from_xyxy(x1, y1, x2, y2)


def _facts(image: str, file: str, line: int, said: Sequence[Mapping[str, str]]) -> ImageFacts:
    """What the rows of an image say of it. Raises ``UnusableError`` where they differ."""
    one = dict[str, str]()
    for name in _OF_IMAGE:
        values = {row[name] for row in said} - {""}
        if len(values) > 1:
            raise UnusableError("contradiction", f"rows of the image with different values of {name!r}")
        one[name] = values.pop() if values else ""
    sides = (one["width"], one["height"])
    width, height = (0, 0) if sides == ("", "") else (image_side(finite(side, "a side"), "a side") for side in sides)
    return ImageFacts(
        study=one["study"] or image.rsplit(".", 1)[0],
        image=image,
        patient=one["patient"] or None,
        split=official_split(one["split"]) if one["split"] else "",
        width=width,
        height=height,
        report=one["report"],
        file=file,
        row=line,
    )


def _layout(options: Mapping[str, str]) -> Layout:
    form = choice(options, "box", tuple(FORMS))
    corners = tuple(part.strip() for part in options.get("box_columns", FORMS[form][0]).split(","))
    if len(set(corners)) != 4 or not all(corners):
        raise RecipeError(
            "box_columns as four names joined by commas", f"{len(corners)} of them", "Correct the option."
        )
    columns = {name: options.get(name, name).strip() for name in COLUMNS}
    named = [columns[name] for name in COLUMNS if name in options and name != "image"]
    return Layout(
        columns=columns,
        corners=corners,
        needed=(columns["image"], *corners, *named),
        form=form,
        normalised=choice(options, "coordinates", ("pixels", "normalised")) == "normalised",
        delimiter=DELIMITERS[choice(options, "delimiter", tuple(DELIMITERS))],
        suffix=f".{word(options, 'suffix', '')}" if "suffix" in options else "",
    )


def _table(places: Places) -> Path:
    place = places.annotations or places.root
    if place.is_file():
        return place
    found = [path for path in sorted(place.iterdir()) if _is_table(path)] if place.is_dir() else []
    if len(found) != 1:
        raise ManifestError("one CSV table", f"{len(found)} at {place}", "Name the table with --annotations.")
    return found[0]


def _is_table(path: Path) -> bool:
    return path.is_file() and path.name.casefold().endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz"))
