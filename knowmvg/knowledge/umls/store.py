"""Looking things up in an imported release."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from operator import attrgetter
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.concepts import Definition, Link, Match, Name, source_place
from knowmvg.knowledge.umls.layout import CUI, cui_number, cui_text, tui_text
from knowmvg.knowledge.umls.relations import Kind
from knowmvg.knowledge.umls.schema import SCHEMA
from knowmvg.knowledge.umls.terms import KEY_VERSION, normal_words, term_key

_ADVICE = "Import the release with `knowmvg kg umls import`."
MAX_TERM = 1000
# All names, and all types, of the concepts that have a name with the key: a term may stand for dozens of concepts.
_NAMES_OF_KEY = (
    "SELECT cui, key = ?, text, sab, tty, preferred FROM name WHERE cui IN (SELECT cui FROM name WHERE key = ?)"
)
_TYPES_OF_KEY = "SELECT cui, tui FROM type WHERE cui IN (SELECT cui FROM name WHERE key = ?) ORDER BY cui, tui"
_order = attrgetter("order")
_CACHE_KIB = 32_768  # holds the inner pages of every tree


class UmlsStore:
    """An imported release (``Concepts``), open for reading until ``close`` or the end of a ``with``."""

    def __init__(self, path: Path | str) -> None:
        """Opens the database at ``path``.

        Raises:
            KnowledgeError: there is none, it is of another schema, or made with other rules for equal terms.
        """
        path = Path(path)
        expected = f"an imported UMLS release of schema {SCHEMA}"
        if not path.is_file():
            raise KnowledgeError(expected, f"no file at {path}", _ADVICE)
        try:
            self._connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self.about: dict[str, Any] = {
                key: json.loads(value) for key, value in self._connection.execute("SELECT key, value FROM about")
            }
            self._labels: dict[int, str] = dict(self._connection.execute("SELECT id, text FROM label"))
        except (sqlite3.DatabaseError, ValueError) as error:
            self.close()
            raise KnowledgeError(expected, f"another file at {path}", _ADVICE) from error
        stated = (self.about.get("schema"), self.about.get("keys"))
        if stated != (SCHEMA, KEY_VERSION):
            self.close()
            raise KnowledgeError(f"{expected}, keys {KEY_VERSION}", f"{stated} at {path}", _ADVICE)
        self.release: str = self.about["release"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the reading."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def lookup(self, term: str) -> list[Match]:
        """See ``Concepts.lookup``. Raises ``KnowledgeError`` for a term of more than ``MAX_TERM`` characters."""
        if len(term) > MAX_TERM:
            raise KnowledgeError(f"a term of at most {MAX_TERM} characters", f"{len(term)}", "Give a term, not a text.")
        key, words = term_key(term), normal_words(term)
        names: dict[int, list[Name]] = {}
        found: dict[int, Name] = {}
        for cui, same, *fields in self._rows(_NAMES_OF_KEY, key, key):
            name = self._named(*fields)
            names.setdefault(cui, []).append(name)
            # two terms can share a key by chance
            if same and normal_words(name.text) == words and (cui not in found or name.order < found[cui].order):
                found[cui] = name
        types: dict[int, list[str]] = {}
        for cui, tui in self._rows(_TYPES_OF_KEY, key):
            types.setdefault(cui, []).append(tui_text(tui))
        matches = [
            Match(cui_text(cui), min(names[cui], key=_order), matched, tuple(types.get(cui, ())))
            for cui, matched in found.items()
        ]
        return sorted(matches, key=lambda match: (*match.matched.order[:3], match.cui))

    def name(self, cui: str) -> Name | None:
        """See ``Concepts.name``."""
        return self._best(_number(cui))

    def types(self, cui: str) -> tuple[str, ...]:
        """See ``Concepts.types``."""
        return tuple(
            tui_text(tui) for (tui,) in self._rows("SELECT tui FROM type WHERE cui = ? ORDER BY tui", _number(cui))
        )

    def links(self, cui: str, kinds: Collection[Kind]) -> list[Link]:
        """See ``Concepts.links``."""
        sources: dict[tuple[Kind, str], set[str]] = {}
        for kind in sorted(set(kinds)):
            rows = self._rows("SELECT place, sab FROM relation WHERE what = ? AND kind = ?", _number(cui), int(kind))
            for place, sab in rows:
                sources.setdefault((kind, cui_text(place)), set()).add(self._labels[sab])
        links = [Link(kind, place, ordered(names)) for (kind, place), names in sources.items()]
        return sorted(links, key=link_order)

    def definitions(self, cui: str) -> list[Definition]:
        """See ``Concepts.definitions``."""
        rows = self._rows("SELECT text, sab FROM definition WHERE cui = ?", _number(cui))
        found = [Definition(text, self._labels[sab]) for text, sab in rows]
        return sorted(
            found, key=lambda definition: (source_place(definition.source), definition.source, definition.text)
        )

    def _best(self, cui: int) -> Name | None:
        rows = self._rows("SELECT text, sab, tty, preferred FROM name WHERE cui = ?", cui)
        return min((self._named(*row) for row in rows), key=_order, default=None)

    def _named(self, text: str, sab: int, tty: int, preferred: int) -> Name:
        return Name(text, self._labels[sab], self._labels[tty], bool(preferred))

    def _rows(self, statement: str, *values: int | None) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise KnowledgeError("a whole database", f"a damaged one ({type(error).__name__})", _ADVICE) from error


def ordered(sources: Collection[str]) -> tuple[str, ...]:
    """Vocabularies in the order of preference."""
    return tuple(sorted(sources, key=lambda source: (source_place(source), source)))


def link_order(link: Link) -> tuple[int, int, int, str]:
    """The order of links: kind, number of sources from most to least, the best of them, CUI."""
    best = min((source_place(source) for source in link.sources), default=0)
    return int(link.kind), -len(link.sources), best, link.cui


def _number(cui: str) -> int:
    if CUI.fullmatch(cui) is None:
        raise KnowledgeError("a CUI such as C0000001", repr(cui[:20]), "Correct it.")
    return cui_number(cui)
