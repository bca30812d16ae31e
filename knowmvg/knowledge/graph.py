"""The knowledge graph: what the model may look up (equations 4, 5 and the constant of 7), and its file format."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.licences import refuse_sharing
from knowmvg.knowledge.vocabulary import Vocabulary

if TYPE_CHECKING:
    import networkx

GRAPH_SCHEMA: Literal["knowmvg.graph/1"] = "knowmvg.graph/1"
LOCATED_IN: Literal["located_in"] = "located_in"
PART_OF: Literal["part_of"] = "part_of"
IS_A: Literal["is_a"] = "is_a"
Relation: TypeAlias = Literal["located_in", "part_of", "is_a"]
# What the relations join: kind of the first node, kind of the second.
ENDS: dict[Relation, tuple[str, str]] = {
    LOCATED_IN: ("entity", "site"),
    PART_OF: ("site", "site"),
    IS_A: ("entity", "entity"),
}
MAX_BYTES = 64 * 2**20
MAX_NODES = 20_000
"""The dense adjacency of equation 7 takes ``4 N^2`` bytes: 1.6 GB here. The atlas on 200,000 reports gives about 1,500
nodes, and `knowmvg kg build --min-count` leaves out what reports rarely say, where UMLS gives more."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(_Record):
    """An entity (a finding, in general or at a place) or an anatomical site.

    ``text`` is what the text encoder reads (equation 6): the name with a short description of where it is seen
    (equation 3). ``finding`` is the canonical finding of an entity; ``count`` its number of training phrases.
    """

    name: str = Field(min_length=1)
    text: str = Field(min_length=1)
    kind: Literal["entity", "site"]
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    finding: str | None = None
    side: Side | None = None
    zone: str | None = None
    count: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.kind == "entity") != (self.finding is not None):
            raise ValueError(f"expected a finding for entities and none for sites, got {self.name!r}")
        return self


class Triplet(NamedTuple):
    """One fact of the graph, by the names of its nodes (equation 4).

    The paper knows ``located_in`` alone, from an entity to a site. ``part_of`` joins a site to the one around it, and
    ``is_a`` an entity to a more general one; both stand in the same fields.
    """

    entity: str
    relation: Relation
    site: str


class KnowledgeGraph(_Record):
    """Nodes and triplets; both are sorted, so that equal knowledge gives equal graphs.

    ``vocabulary`` holds the words that the graph was built with and reads phrases for ``related``.
    """

    schema_: Literal["knowmvg.graph/1"] = Field(default=GRAPH_SCHEMA, alias="schema")
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=MAX_NODES)
    triplets: tuple[Triplet, ...]
    vocabulary: Vocabulary

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.index) != len(self.nodes):
            raise ValueError("expected every node name once")
        for first, relation, second in self.triplets:
            for name, kind in zip((first, second), ENDS[relation], strict=True):
                if name not in self.index or self.nodes[self.index[name]].kind != kind:
                    raise ValueError(f"expected {relation} between nodes, got the unknown {kind} {name!r}")
        for node in self.nodes:
            if node.zone is not None and node.zone not in self.vocabulary.zones:
                raise ValueError(f"expected zones of the vocabulary, got {node.zone!r}")
        return self

    @cached_property
    def index(self) -> dict[str, int]:
        """The position of each node by name."""
        return {node.name: i for i, node in enumerate(self.nodes)}

    @property
    def texts(self) -> list[str]:
        """The texts ``t_i`` of equation 6, one a node."""
        return [node.text for node in self.nodes]

    def adjacency(self) -> NDArray[np.int64]:
        """Index pairs ``[2, E]`` of the ones of ``A`` (equation 5), in both directions, sorted, without self-loops."""
        ends = {(self.index[triplet.entity], self.index[triplet.site]) for triplet in self.triplets}
        pairs = sorted(ends | {(site, entity) for entity, site in ends})
        return np.array(pairs, dtype=np.int64).reshape(-1, 2).T

    def normalised_adjacency(self) -> NDArray[np.float32]:
        """``D^-1/2 (A + I) D^-1/2`` ``[N, N]``, the constant of equation 7; ``D`` holds the row sums of ``A + I``."""
        size = len(self.nodes)
        loops = np.arange(size)
        rows, columns = np.concatenate([self.adjacency(), np.stack([loops, loops])], axis=1)
        scale = 1.0 / np.sqrt(np.bincount(rows, minlength=size))
        normalised = np.zeros((size, size), dtype=np.float32)
        normalised[rows, columns] = scale[rows] * scale[columns]
        return normalised

    def neighbours(self, node: int) -> tuple[int, ...]:
        """The nodes linked to ``node``, ascending. Raises ``IndexError`` for a position outside the graph."""
        return self._links[node]

    def only(self, kept: Collection[int]) -> KnowledgeGraph:
        """The graph of the nodes at these positions, in their order, with the triplets between them.

        Raises ``ValidationError`` for no node: a graph has at least one.
        """
        nodes = tuple(self.nodes[place] for place in sorted(set(kept)))
        names = {node.name for node in nodes}
        triplets = tuple(fact for fact in self.triplets if {fact.entity, fact.site} <= names)
        return KnowledgeGraph(schema=self.schema_, nodes=nodes, triplets=triplets, vocabulary=self.vocabulary)

    def related(self, phrase: Phrase) -> set[int]:
        """The nodes that a clinician would call relevant to ``phrase``.

        These are the entities of the same finding whose side and zone do not contradict the phrase's, and the sites
        linked to them under the same condition. A general node fits every place; a phrase on one side excludes nodes of
        the other side and of both sides; a phrase without a side, or on both sides, excludes none. For a finding that
        the graph does not have, the nearest more general one counts.
        """
        found: set[int] = set()
        for mention in self.vocabulary.read(phrase):
            fitting = {i for i, node in enumerate(self.nodes) if self._fits(node, mention.side, mention.zone)}
            entities: set[int] = set()
            for finding in (mention.finding, *self.vocabulary.more_general(mention.finding)):
                if entities := {i for i in fitting if self.nodes[i].finding == finding}:
                    break
            found |= entities | {site for entity in entities for site in self.neighbours(entity) if site in fitting}
        return found

    @cached_property
    def _links(self) -> tuple[tuple[int, ...], ...]:
        links: list[list[int]] = [[] for _ in self.nodes]
        for one, other in self.adjacency().T.tolist():
            links[one].append(other)
        return tuple(map(tuple, links))

    def _fits(self, node: Node, side: Side | None, zone: str | None) -> bool:
        anywhere = side in (None, Side.BILATERAL) or node.side is None
        return (anywhere or node.side == side) and self.vocabulary.overlap(node.zone, zone)


def save_graph(graph: KnowledgeGraph, path: Path | str, *, allow_licensed: bool = False) -> None:
    """Write ``graph`` as JSON (schema ``knowmvg.graph/1``), whole or not at all.

    Raises:
        KnowledgeError: the place cannot be written to, or the graph holds licensed content and the place is not private
            (``licences``) without ``allow_licensed``; what was there stays as it was.
    """
    path = Path(path)
    refuse_sharing(graph, path.parent, allow_licensed=allow_licensed)
    text = json.dumps(graph.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        expected = f"a file that can be written at {path}"
        raise KnowledgeError(expected, str(error.strerror or error), "Give an existing, writable folder.") from error
    finally:
        draft.unlink(missing_ok=True)


def load_graph(path: Path | str) -> KnowledgeGraph:
    """The graph at ``path``.

    Raises:
        KnowledgeError: the file is missing, too large, of another schema, or its facts do not fit together.
    """
    path = Path(path)
    expected, todo = f"a knowledge graph of schema {GRAPH_SCHEMA}", "Build the graph again from the training split."
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise KnowledgeError(f"{expected} of at most {MAX_BYTES} bytes", f"{size} bytes at {path}", todo)
        return KnowledgeGraph.model_validate_json(path.read_bytes())
    except OSError as error:
        todo = "Check the path; `knowmvg kg build` writes a graph."
        raise KnowledgeError(expected, f"{error.strerror} at {path}", todo) from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise KnowledgeError(expected, f"{problem['msg']} {f'({where}) ' if where else ''}in {path}", todo) from error


def to_networkx(graph: KnowledgeGraph) -> networkx.DiGraph:
    """A ``networkx.DiGraph`` with nodes by name, their fields as attributes, and an edge a triplet."""
    import networkx

    exported = networkx.DiGraph()
    for node in graph.nodes:
        exported.add_node(node.name, **node.model_dump(mode="json", exclude={"name"}, exclude_none=True))
    exported.add_edges_from((entity, site, {"relation": relation}) for entity, relation, site in graph.triplets)
    return exported
