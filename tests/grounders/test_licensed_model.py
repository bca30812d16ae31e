"""A model folder with licensed knowledge is only written where its owner keeps it."""

import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.store import load_grounder
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.licences import PRIVATE_MARK


def test_a_model_with_licensed_knowledge_stays_private(grounder, tmp_path):
    graph = grounder.graph
    first = graph.nodes[0].model_copy(update={"licence": "UMLS"})
    licensed = KnowledgeGraph(nodes=(first, *graph.nodes[1:]), triplets=graph.triplets, vocabulary=graph.vocabulary)
    owned = PromptedGrounder(grounder.model, grounder.config, grounder.tokenizer, licensed, grounder.name)
    with pytest.raises(KnowledgeError, match="not marked private"):
        store.save(owned, tmp_path / "model")
    assert not list(tmp_path.iterdir())
    store.save(owned, tmp_path / "given", allow_licensed=True)
    (tmp_path / PRIVATE_MARK).touch()
    store.save(owned, tmp_path / "model")
    assert load_grounder(tmp_path / "model").graph == licensed
