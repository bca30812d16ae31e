"""What is kept of each file's rows, and in which form the database holds it.

Concepts are numbers (``layout.cui_number``), vocabularies and term types are numbers of the ``label`` table. Relations
are brought to *(what, kind, where)*; those that say nothing of place are left out, as nothing here reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from knowmvg.knowledge.umls.choice import Choice
from knowmvg.knowledge.umls.layout import MRCONSO, MRDEF, MRREL, MRSTY, SUPPRESSED, Table, cui_number, tui_number
from knowmvg.knowledge.umls.relations import READINGS
from knowmvg.knowledge.umls.rows import Block, fault
from knowmvg.knowledge.umls.terms import term_key

_CUI2, _RELA, _REL_SAB, _REL_SUPPRESS = MRREL.at("CUI2", "RELA", "SAB", "SUPPRESS")
Values = tuple[int | str, ...]


class Labels(dict[str, int]):
    """Numbers for the few short texts that stand in every row; a new one gets the next."""

    def __missing__(self, text: str) -> int:
        """Numbers a new text."""
        self[text] = number = len(self)
        return number


class Keeper:
    """Turns the rows of a block into rows of the database; ``left_out`` counts the others by reason."""

    def __init__(self, choice: Choice, labels: Labels, left_out: Counter[str], spoken: set[int]) -> None:
        """``spoken`` holds the labels of the vocabularies that gave names in a wanted language; it grows here."""
        self.choice, self.labels, self.left_out, self.spoken = choice, labels, left_out, spoken
        self._languages, self._sources = frozenset(choice.languages), frozenset(choice.sources)
        self._of: dict[str, Callable[[list[str]], Values | str]] = {
            MRCONSO.file: self._name,
            MRSTY.file: self._type,
            MRREL.file: self._relation,
            MRDEF.file: self._definition,
        }

    def keep(self, table: Table, block: Block) -> list[Values]:
        """The database rows of a block.

        Raises:
            KnowledgeError: a CUI, TUI or suppress flag is none; the row is named.
        """
        turn = self._of[table.file]
        kept: list[Values] = []
        left_out: Counter[str] = Counter()
        for number, fields in enumerate(block.rows, block.first):
            try:
                values = turn(fields)
            except ValueError as error:
                expected, _, got = str(error).removeprefix("expected ").partition(", got ")
                raise fault(table, number, expected, got) from None
            if isinstance(values, str):
                left_out[values] += 1
            else:
                kept.append(values)
        self.left_out.update({f"{table.file}: {reason}": count for reason, count in left_out.items()})
        return kept

    def _unwanted(self, source: str, suppress: str) -> str | None:
        if suppress != "N":
            if suppress not in SUPPRESSED:
                raise ValueError(f"expected a suppress flag of N, {', '.join(SUPPRESSED)}, got {suppress[:20]!r}")
            if not self.choice.suppressed:
                return "suppressed"
        return "other vocabularies" if self._sources and source not in self._sources else None

    def _name(self, fields: list[str]) -> Values | str:
        cui, lat, ts, _, stt, _, ispref, _, _, _, _, sab, tty, _, text, _, suppress, _, _ = fields
        number = cui_number(cui)
        if reason := self._unwanted(sab, suppress):
            return reason
        if lat not in self._languages:
            return "other languages"
        key = term_key(text)
        if key is None:
            return "names without a letter"
        source = self.labels[sab]
        self.spoken.add(source)
        preferred = ts == "P" and stt == "PF" and ispref == "Y"
        return number, key, source, self.labels[tty], int(preferred), text

    def _type(self, fields: list[str]) -> Values | str:
        return cui_number(fields[0]), tui_number(fields[1])

    def _relation(self, fields: list[str]) -> Values | str:
        reading = READINGS.get(fields[_RELA])
        if reading is None:
            return "relations that say nothing of place"
        first, second, source = cui_number(fields[0]), cui_number(fields[_CUI2]), fields[_REL_SAB]
        if reason := self._unwanted(source, fields[_REL_SUPPRESS]):
            return reason
        if first == second:
            return "relations of a concept to itself"
        kind, forward = reading
        return (second, kind, first, self.labels[source]) if forward else (first, kind, second, self.labels[source])

    def _definition(self, fields: list[str]) -> Values | str:
        cui, _, _, _, sab, text, suppress, _, _ = fields
        number = cui_number(cui)
        if reason := self._unwanted(sab, suppress):
            return reason
        # MRDEF has no language: that of the vocabulary's names is taken.
        if (source := self.labels[sab]) not in self.spoken:
            return "other languages"
        return number, source, text
