"""Releases of invented concepts in the exact layout of RRF. Nothing here comes from UMLS; no CUI below exists in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from knowmvg.knowledge.umls.importer import import_release
from knowmvg.knowledge.umls.store import UmlsStore

SNOMED = "SNOMEDCT_US"


def row(*fields: str) -> str:
    return "".join(f"{value}|" for value in fields)


@dataclass
class Release:
    """Rows by file; ``write`` puts them into a folder as MetamorphoSys would."""

    rows: dict[str, list[str]] = field(
        default_factory=lambda: {"MRCONSO.RRF": [], "MRREL.RRF": [], "MRDEF.RRF": [], "MRSTY.RRF": []}
    )
    stated: str | None = "2099AA"

    def name(self, cui, text, *, sab=SNOMED, tty="PT", lat="ENG", suppress="N", ts="P", stt="PF", ispref="Y"):
        n = f"{len(self.rows['MRCONSO.RRF']):07d}"
        self.rows["MRCONSO.RRF"].append(
            row(cui, lat, ts, f"L{n}", stt, f"S{n}", ispref, f"A{n}", "", "", "", sab, tty, n, text, "0", suppress, "")
        )
        return self

    def relation(self, cui1, rela, cui2, *, rel="RO", sab=SNOMED, suppress="N"):
        """A row as it stands in the file: it says *cui2 rela cui1*."""
        n = f"R{len(self.rows['MRREL.RRF']):08d}"
        self.rows["MRREL.RRF"].append(
            row(cui1, "A1", "SCUI", rel, cui2, "A2", "SCUI", rela, n, "", sab, sab, "0", "Y", suppress, "")
        )
        return self

    def type(self, cui, tui):
        self.rows["MRSTY.RRF"].append(row(cui, tui, "A1.2", "Invented Type", f"AT{len(self.rows['MRSTY.RRF'])}", ""))
        return self

    def definition(self, cui, text, *, sab=SNOMED, suppress="N"):
        self.rows["MRDEF.RRF"].append(row(cui, "A1", "AT1", "", sab, text, suppress, ""))
        return self

    def concept(self, cui, tui, *texts):
        """A concept with a semantic type and names, the first of them preferred."""
        self.type(cui, tui)
        for number, text in enumerate(texts):
            self.name(cui, text, tty="SY" if number else "PT", ts="S" if number else "P")
        return self

    def text(self, file, end="\n"):
        return "".join(line + end for line in self.rows[file])

    def write(self, folder: Path, end="\n") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.rows:
            (folder / file).write_bytes(self.text(file, end).encode())
        if self.stated is not None:
            (folder / "release.dat").write_text(f"#Release Metadata\numls.release.name={self.stated}\n")
        return folder


def chest() -> Release:
    """Two findings, their sites and what these are part of; numbers in both directions and from two vocabularies."""
    made = Release()
    made.concept("C9000001", "T047", "Pleural effusion", "Effusions of the pleura")
    made.concept("C9000002", "T047", "Left pleural effusion")
    made.concept("C9000003", "T046", "Consolidation of lung", "Consolidation")
    made.concept("C9000004", "T047", "Disorder of lung")
    made.concept("C9000011", "T030", "Pleural cavity")
    made.concept("C9000012", "T030", "Left pleural cavity", "Cavity of left pleura")
    made.concept("C9000013", "T030", "Right pleural cavity")
    made.concept("C9000014", "T023", "Lung", "Lung structure")
    made.concept("C9000015", "T023", "Left lung")
    made.concept("C9000016", "T023", "Lower lobe of left lung", "Left lower lobe of lung")
    made.concept("C9000017", "T023", "Chest")
    made.relation("C9000011", "has_finding_site", "C9000001")  # effusion has_finding_site cavity
    made.relation("C9000001", "finding_site_of", "C9000011", sab="NCI")  # cavity finding_site_of effusion
    made.relation("C9000012", "has_finding_site", "C9000002")
    made.relation("C9000004", "isa", "C9000003", rel="CHD")  # consolidation isa disorder of lung
    made.relation("C9000004", "finding_site_of", "C9000014")  # lung finding_site_of disorder of lung
    made.relation("C9000014", "has_part", "C9000017")  # chest has_part lung
    made.name("C9000001", "Derrame pleural", lat="SPA", sab="SCTSPA")
    made.name("C9000001", "Wet lung", suppress="O")
    made.name("C9000001", "Hydrothorax", sab="MSH", tty="MH")
    made.definition("C9000011", "A gap between two layers.")
    return made


@pytest.fixture
def release() -> Release:
    return chest()


@pytest.fixture
def opened(tmp_path) -> Callable[..., UmlsStore]:
    """Imports a release into a fresh database and opens it; all are closed at the end."""
    stores: list[UmlsStore] = []

    def run(made: Release, **options) -> UmlsStore:
        out = tmp_path / f"umls-{len(stores)}.sqlite"
        import_release(made.write(tmp_path / f"META-{len(stores)}"), out, **options)
        stores.append(UmlsStore(out))
        return stores[-1]

    yield run
    for store in stores:
        store.close()
