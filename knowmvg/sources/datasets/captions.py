"""Images with captions and without boxes, for stage 1 of PFMVG: ROCO and ImageCLEFmedical Caption 2022.

ROCO (Pelka et al., LABELS 2018; github.com/razorx89/roco-dataset): ``data/SPLIT/radiology/captions.txt`` has a line
``ROCO_00001<tab> caption`` for each image; ``dlinks.txt``, or ``dlinks_*.txt``, beside it names the image file last
in a line that begins with the same identifier, which ``scripts/fetch.py`` stores as ``images/PMCID_NAME``; copies of
others have ``images/ROCO_00001.jpg``. ImageCLEFmedical Caption 2022 (imageclef.org/2022/medical/caption):
``caption_prediction_train.csv`` and ``caption_prediction_valid.csv`` with the columns ``ID`` and ``caption``, images in
``train/`` and ``valid/``; that they are divided by tabs and images end in ``.jpg`` is as participants' code has it and
was not seen.

Patients are not known: every image counts as one. Captions are of all kinds of images, chest radiographs among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice, word
from knowmvg.sources.datasets.tables import read_table
from knowmvg.sources.manifest import StudyRow

_ROCO_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_CLEF_TABLES = {"caption_prediction_train.csv": ("train", "train"), "caption_prediction_valid.csv": ("valid", "val")}
_NAME = re.compile(r"[\w-]+", re.ASCII)
_ARCHIVE = re.compile(r"/(PMC\d+)\.tar\.gz")
_LONGEST = 20_000
_NOTES = (
    "captions and no boxes: for training on words alone",
    "patients are not known: every image counts as one",
)


@dataclass(frozen=True, slots=True)
class _Table:
    """A file of captions: the split of its rows, and the folder of their images."""

    path: Path
    split: str
    images: Path


def open_roco(places: Places, options: Mapping[str, str]) -> Captions:
    """The reader of ROCO's repository in ``--root``. Raises ``ManifestError`` where it is not there."""
    kind = choice(options, "kind", ("radiology", "non-radiology"))
    root = places.root / "data" if (places.root / "data").is_dir() else places.root
    tables = [
        _Table(root / folder / kind / "captions.txt", split, root / folder / kind / "images")
        for folder, split in _ROCO_SPLITS.items()
    ]
    facts = DatasetFacts(
        name="ROCO",
        version="1.0",
        licence="of each article; images of PubMed Central's Open Access subset",
        credentialed=False,
        source="https://github.com/razorx89/roco-dataset",
        notes=_NOTES,
    )
    return Captions(root, _there(tables, places.root, "data/train/radiology/captions.txt"), facts, "jpg")


def open_imageclef(places: Places, options: Mapping[str, str]) -> Captions:
    """The reader of ImageCLEFmedical Caption 2022 in ``--root``. Raises ``ManifestError`` where it is not there."""
    images = places.images or places.root
    tables = [_Table(places.root / name, split, images / folder) for name, (folder, split) in _CLEF_TABLES.items()]
    facts = DatasetFacts(
        name="ImageCLEFmedical Caption 2022",
        version="2022",
        licence="the end user agreement of the task",
        credentialed=True,
        source="https://www.imageclef.org/2022/medical/caption",
        notes=_NOTES,
    )
    suffix = word(options, "suffix", "jpg")
    return Captions(images, _there(tables, places.root, "caption_prediction_train.csv"), facts, suffix)


class Captions:
    """Rows of captions in the order of the files. Names of a split's images are held in memory, nothing else."""

    def __init__(self, image_root: Path, tables: list[_Table], facts: DatasetFacts, suffix: str) -> None:
        self.image_root, self.facts = image_root, facts
        self.files = tuple(table.path for table in tables)
        self._tables, self._suffix = tables, suffix

    def read(self) -> Iterator[StudyRow | Fault]:
        """A study for each caption, its text the caption; a line without identifier or caption is a fault."""
        for table in self._tables:
            named = _fetched(table)
            for line, name, caption in _captions(table):
                text = " ".join(caption.split())
                if not _NAME.fullmatch(name) or not text or len(text) > _LONGEST:
                    yield Fault("no caption", table.path.name, line, "expected an identifier and a caption", False)
                    continue
                file = table.images / f"{name}.{self._suffix}"
                if not file.is_file() and name in named:
                    file = table.images / named[name]
                yield StudyRow(
                    id=name,
                    patient=name,
                    split=table.split,
                    image=file.relative_to(self.image_root).as_posix(),
                    width=0,
                    height=0,
                    report=text,
                    source=f"{table.path.name}:{line}",
                )


def _there(tables: list[_Table], root: Path, name: str) -> list[_Table]:
    found = [table for table in tables if table.path.is_file()]
    if not found:
        raise ManifestError(name, f"none in {root}", "Name the folder of the download with --root.")
    return found


def _captions(table: _Table) -> Iterator[tuple[int, str, str]]:
    """Line, identifier and caption of each row. Raises ``ManifestError`` for a file that cannot be read."""
    if table.path.suffix == ".csv":
        for row in read_table(table.path, ["ID", "caption"], delimiter="\t"):
            if not isinstance(row, Fault):
                yield row.line, row.values["ID"], row.values["caption"]
            elif not row.kept:
                yield row.row or 0, "", ""
        return
    for number, text in enumerate(_text_lines(table.path), 1):
        if text.strip():
            name, _, caption = text.partition("\t")
            yield number, name.strip(), caption


def _fetched(table: _Table) -> dict[str, str]:
    """The file names that ROCO's script gives to images, by identifier."""
    found: dict[str, str] = {}
    for links in sorted(table.path.parent.glob("dlinks*.txt")) if table.path.suffix == ".txt" else ():
        for text in _text_lines(links):
            parts, archive = text.split("\t"), _ARCHIVE.search(text)
            name = parts[-1].strip()
            if archive is not None and len(parts) > 2 and name == Path(name).name:
                found[parts[0].strip()] = f"{archive[1]}_{name}"
    return found


def _text_lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            while line := stream.readline(4 * _LONGEST):
                yield line.rstrip("\n")
    except OSError as error:
        got = f"{error.strerror} at {path}"
        raise ManifestError("a file of captions that can be read", got, "Download it again.") from error
