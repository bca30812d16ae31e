"""Licensed content is only written where its owner keeps it."""

import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import KnowledgeGraph, load_graph, save_graph
from knowmvg.knowledge.licences import PRIVATE_MARK, closed_licences, licences_of
from knowmvg.knowledge.ontology import load_atlas

OPEN = build_graph([Phrase(text="left pleural effusion")], load_atlas())
_FIRST = OPEN.nodes[0].model_copy(update={"licence": "UMLS"})
LICENSED = KnowledgeGraph(nodes=(_FIRST, *OPEN.nodes[1:]), triplets=OPEN.triplets, vocabulary=OPEN.vocabulary)


def test_licences_are_counted():
    assert licences_of(OPEN) == {"Apache-2.0": len(OPEN.nodes)}
    assert closed_licences(OPEN) == {}
    assert closed_licences(LICENSED) == {"UMLS": 1}


def test_open_content_goes_anywhere(tmp_path):
    (tmp_path / ".git").mkdir()
    save_graph(OPEN, tmp_path / "g.json")


def test_licensed_content_is_refused_where_it_could_be_shared(tmp_path):
    with pytest.raises(KnowledgeError, match="not marked private"):
        save_graph(LICENSED, tmp_path / "g.json")
    assert not list(tmp_path.iterdir())
    save_graph(LICENSED, tmp_path / "g.json", allow_licensed=True)
    assert load_graph(tmp_path / "g.json") == LICENSED


def test_a_private_folder_and_what_lies_in_it(tmp_path):
    (tmp_path / PRIVATE_MARK).touch()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    save_graph(LICENSED, inner / "g.json")
    # A link out of the private folder is followed.
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(KnowledgeError, match="not marked private"):
        save_graph(LICENSED, tmp_path / "link" / "g.json")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_git_work_tree_is_never_private(tmp_path, kind):
    (tmp_path / PRIVATE_MARK).touch()
    mark = tmp_path / "work" / ".git"
    mark.parent.mkdir()
    if kind == "folder":
        mark.mkdir()
    else:  # a linked work tree or submodule
        mark.write_text("gitdir: elsewhere")
    inner = tmp_path / "work" / "out"
    inner.mkdir()
    with pytest.raises(KnowledgeError, match="git work tree"):
        save_graph(LICENSED, inner / "g.json")
