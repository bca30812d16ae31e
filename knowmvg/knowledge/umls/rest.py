"""UMLS through NLM's REST API, as ``Concepts``: for a few hundred entities, without a release on disk.

Paths and fields follow documentation.uts.nlm.nih.gov/rest (search, CUI, relations, definitions), read there; the API
itself could not be asked. Relations read forwards, other than in MRREL: *relatedFromId RELA relatedId* (in the samples
published there a fracture, ``relatedFromId``, is ``member_of`` a group, ``relatedId``, and ``has_finding_site`` a
bone), so that only the names whose subject is what is located are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.concepts import Definition, Link, Match, Name, source_place
from knowmvg.knowledge.umls.layout import CUI, RELEASE_NAME, checked_release
from knowmvg.knowledge.umls.relations import READINGS, Kind, forward_names
from knowmvg.knowledge.umls.rest_client import RestClient
from knowmvg.knowledge.umls.store import link_order, ordered

MAX_MATCHES = 10
_PAGE_SIZE, _MAX_PAGES = 200, 10
# The API gives a concept's preferred name without its vocabulary.
_UNNAMED = "UMLS"
_ID = re.compile(
    r"/content/(?P<release>[^/]+)/(?:CUI/(?P<cui>C\d{7})|source/(?P<sab>[^/]+)/(?P<code>[^/]+)|AUI/(?P<aui>A\d+))$"
)
_TYPE = re.compile(r"/semantic-network/(?P<release>[^/]+)/TUI/(?P<tui>T\d{3})$")


class RestConcepts:
    """UMLS of ``version`` (``current`` or a release such as ``2025AB``), limited to ``sources`` if any are given."""

    def __init__(self, client: RestClient, *, version: str = "current", sources: Collection[str] = ()) -> None:
        """Sends nothing yet. Raises ``KnowledgeError`` for a version that cannot be one."""
        self._client, self._version = client, checked_release(version)
        self._sources = ",".join(sorted(sources))
        self._stated: str | None = None

    @property
    def release(self) -> str:
        """The release's name: for ``current`` the one that the answers so far state."""
        return self._stated or self._version

    def lookup(self, term: str) -> list[Match]:
        """See ``Concepts.lookup``; the API normalises more, and gives no term type and at most ``MAX_MATCHES``."""
        query = {"string": term, "searchType": "normalizedString", "returnIdType": "concept"}
        matches = []
        for entry in self._search(query)[:MAX_MATCHES]:
            cui = _text(entry, "ui")
            if CUI.fullmatch(cui):
                name = Name(_text(entry, "name"), _text(entry, "rootSource"), "", preferred=True)
                matches.append(Match(cui, name, name, self.types(cui)))
        return matches

    def name(self, cui: str) -> Name | None:
        """See ``Concepts.name``."""
        concept = self._concept(cui)
        return None if concept is None else Name(_text(concept, "name"), _UNNAMED, "", preferred=True)

    def types(self, cui: str) -> tuple[str, ...]:
        """See ``Concepts.types``."""
        found = []
        for entry in (self._concept(cui) or {}).get("semanticTypes") or ():
            if match := _TYPE.search(_text(entry, "uri")):
                self._state(match["release"])
                found.append(match["tui"])
        return tuple(sorted(found))

    def links(self, cui: str, kinds: Collection[Kind]) -> list[Link]:
        """See ``Concepts.links``."""
        query = {"includeAdditionalRelationLabels": ",".join(forward_names(*sorted(set(kinds))))}
        sources: dict[tuple[Kind, str], set[str]] = {}
        for entry in self._pages(f"content/{self._version}/CUI/{cui}/relations", query):
            reading = READINGS.get(_text(entry, "additionalRelationLabel"))
            if reading is None or not reading.forward or reading.kind not in kinds:
                continue
            place = self._cui_of(_text(entry, "relatedId"))
            if place is not None and place != cui:
                sources.setdefault((reading.kind, place), set()).add(_text(entry, "rootSource"))
        return sorted((Link(*key, ordered(names)) for key, names in sources.items()), key=link_order)

    def definitions(self, cui: str) -> list[Definition]:
        """See ``Concepts.definitions``; they are of all languages unless sources are chosen."""
        entries = self._pages(f"content/{self._version}/CUI/{cui}/definitions", {})
        found = [Definition(_text(entry, "value"), _text(entry, "rootSource")) for entry in entries]
        return sorted(
            found, key=lambda definition: (source_place(definition.source), definition.source, definition.text)
        )

    def _concept(self, cui: str) -> dict[str, Any] | None:
        if CUI.fullmatch(cui) is None:
            raise KnowledgeError("a CUI such as C0000001", repr(cui[:20]), "Correct it.")
        answer = self._client.get(f"content/{self._version}/CUI/{cui}", {})
        return None if answer is None else _object(_object(answer).get("result"))

    def _search(self, query: dict[str, str]) -> list[dict[str, Any]]:
        if self._sources:
            query = {"sabs": self._sources, **query}
        answer = self._client.get(f"search/{self._version}", query)
        if answer is None:
            return []
        return [_object(entry) for entry in _list(_object(_object(answer).get("result")).get("results"))]

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        if self._sources:
            query = {**query, "sabs": self._sources}
        for page in range(1, _MAX_PAGES + 1):
            answer = self._client.get(path, {**query, "pageSize": str(_PAGE_SIZE), "pageNumber": str(page)})
            if answer is None:
                return
            answer = _object(answer)
            yield from (_object(entry) for entry in _list(answer.get("result")))
            count = answer.get("pageCount", 1)
            if not isinstance(count, int) or page >= count:
                return

    def _cui_of(self, address: str) -> str | None:
        """The concept that an address of the API names; the address itself is never asked."""
        match = _ID.search(address)
        if match is None:
            return None
        self._state(match["release"])
        if match["cui"]:
            return match["cui"]
        if match["aui"]:
            answer = self._client.get(f"content/{self._version}/AUI/{match['aui']}", {})
            concept = "" if answer is None else _text(_object(_object(answer).get("result")), "concept")
            atom = _ID.search(concept)
            return atom["cui"] if atom else None
        query = {"string": match["code"], "sabs": match["sab"], "inputType": "sourceUi", "searchType": "exact"}
        found = [_text(entry, "ui") for entry in self._search(query)]
        return next((cui for cui in found if CUI.fullmatch(cui)), None)

    def _state(self, release: str) -> None:
        if self._version == "current" and release != "current" and RELEASE_NAME.fullmatch(release):
            self._stated = release


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _odd("an object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _odd("a list")
    return value


def _text(entry: Any, field: str) -> str:
    value = _object(entry).get(field)
    if value is not None and not isinstance(value, str):
        raise _odd(f"text in {field}")
    return value or ""


def _odd(expected: str) -> KnowledgeError:
    return KnowledgeError(f"{expected} in an answer of the UMLS REST API", "something else", "Check the address.")
