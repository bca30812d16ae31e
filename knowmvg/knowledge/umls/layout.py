"""The files of a UMLS release in Rich Release Format (RRF) and what of them is read.

Every row is a line of UTF-8 whose fields end with ``|``, the last one too. Column orders follow the UMLS Reference
Manual (NBK9685, tables of MRCONSO, MRREL, MRDEF, MRSTY and MRFILES), read there and compared with public load scripts;
a real release was not at hand. Where MRFILES.RRF lies beside the files, its column lists are compared with these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowmvg.core.errors import KnowledgeError

# What a node made of UMLS content carries as its licence; a guard keeps such nodes out of folders meant to be shared.
LICENCE = "UMLS"

CUI = re.compile(r"C\d{7}")
TUI = re.compile(r"T\d{3}")
RELEASE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")
# Values of SUPPRESS besides N: obsolete, suppressed by an editor, suppressed by its source.
SUPPRESSED = ("O", "E", "Y")


@dataclass(frozen=True, slots=True)
class Table:
    """One logical file and its columns in order."""

    file: str
    columns: tuple[str, ...]

    def at(self, *names: str) -> tuple[int, ...]:
        """The positions of columns. Raises ``ValueError`` for one that the table does not have."""
        return tuple(self.columns.index(name) for name in names)


def _table(file: str, columns: str) -> Table:
    return Table(file, tuple(columns.split()))


MRCONSO = _table(
    "MRCONSO.RRF", "CUI LAT TS LUI STT SUI ISPREF AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF"
)  # one row an atom: a name of a concept in a vocabulary
MRREL = _table(
    "MRREL.RRF", "CUI1 AUI1 STYPE1 REL CUI2 AUI2 STYPE2 RELA RUI SRUI SAB SL RG DIR SUPPRESS CVF"
)  # one row a relation, read backwards: CUI2 RELA CUI1
MRDEF = _table("MRDEF.RRF", "CUI AUI ATUI SATUI SAB DEF SUPPRESS CVF")
MRSTY = _table("MRSTY.RRF", "CUI TUI STN STY ATUI CVF")
MRFILES = _table("MRFILES.RRF", "FIL DES FMT CLS RWS BTS")

# In the order of reading: the vocabularies of the names say which definitions are in a wanted language.
TABLES = (MRCONSO, MRSTY, MRREL, MRDEF)


def cui_number(cui: str) -> int:
    """``C0012345`` as a number. Raises ``ValueError`` for anything that is not a CUI."""
    digits = cui[1:]  # tens of millions of rows come by here: a pattern takes twice as long
    if len(digits) != 7 or cui[0] != "C" or not digits.isdigit() or not digits.isascii():
        raise ValueError(f"expected a CUI such as C0000001, got {cui[:20]!r}")
    return int(digits)


def cui_text(number: int) -> str:
    """A number of ``cui_number`` as it is written in a release."""
    return f"C{number:07d}"


def tui_number(tui: str) -> int:
    """``T023`` as a number. Raises ``ValueError`` for anything that is not a TUI."""
    if TUI.fullmatch(tui) is None:
        raise ValueError(f"expected a semantic type such as T023, got {tui[:20]!r}")
    return int(tui[1:])


def tui_text(number: int) -> str:
    """A number of ``tui_number`` as it is written in a release."""
    return f"T{number:03d}"


def checked_release(name: str) -> str:
    """``name`` if it can be that of a release (``2025AB``, ``202508``). Raises ``KnowledgeError`` for others."""
    if RELEASE_NAME.fullmatch(name) is None:
        raise KnowledgeError("the name of a UMLS release such as 2025AB", repr(name[:40]), "Give it with --release.")
    return name
