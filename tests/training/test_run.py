"""A whole run at the smallest size: from nothing to a grounder folder, and from there on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from knowmvg.core.errors import KnowledgeError, ManifestError, ModelError
from knowmvg.core.records import Phrase
from knowmvg.grounders.store import load_grounder
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import load_graph, save_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from tests.tiny import TINY


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    values = TINY | {"data": TINY["data"] | {"folder": str(folder / "data")}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(values))
    return folder / "tiny.yaml"


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    return train(recipe, ["train.beta2=0.95"], recipe.parent / "runs", lambda _: None)


@pytest.mark.slow
def test_a_run_leaves_a_grounder_and_its_facts(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert set(facts["seconds"]) == {"data", "language", "segmenter", "features", "train"}
    assert facts["recipe"]["name"] == "tiny"
    assert set(facts["validation"]) == {"miou", "acc50", "token_accuracy"}
    assert len(facts["data_fingerprint"]) == 64
    assert read_recipe(run / "recipe.yaml").model_dump(mode="json", by_alias=True) == facts["recipe"]
    assert (run / "train" / "logs").is_dir()


def betas(folder: Path) -> set[tuple[float, float]]:
    """AdamW's, in the checkpoints of a stage."""
    read = [torch.load(path, weights_only=True) for path in folder.glob("checkpoint-*/optimizer.pt")]
    return {group["betas"] for state in read for group in state["param_groups"]}


@pytest.mark.slow
def test_the_recipe_says_beta2_of_its_own_stage_alone(run: Path) -> None:
    assert betas(run / "train") == {(0.9, 0.95)}
    (language,) = (run.parent / "parts").glob("language-*")
    assert betas(language) == {(0.9, 0.98)}


@pytest.mark.slow
def test_the_grounder_of_a_run_grounds(run: Path, recipe: Path) -> None:
    data = recipe.parent / "data"
    studies = [load_study(data, row) for row in read_rows(data, "test")]
    answers = load_grounder(run / "model").ground(studies)
    assert [answer.study for answer in answers] == [study.id for study in studies]


@pytest.mark.slow
def test_a_second_variant_shares_the_frozen_parts(run: Path, recipe: Path) -> None:
    before = {path.name for path in (recipe.parent / "runs" / "parts").iterdir()}
    told: list[str] = []
    other = train(
        recipe,
        ["name=plain", "seed=1", "variant.knowledge=null", "variant.attention=plain"],
        recipe.parent / "runs",
        told.append,
    )
    assert {path.name for path in (recipe.parent / "runs" / "parts").iterdir()} == before
    assert not any(line.startswith(("language", "segmenter", "data")) for line in told)
    assert load_grounder(other / "model").config.variant.knowledge is None


@pytest.mark.slow
def test_the_graph_knows_the_training_split_alone(run: Path, recipe: Path) -> None:
    data = recipe.parent / "data"
    trained = {p.finding for row in read_rows(data, "train") for p in row.phrases if p.assertion.placed}
    graph = load_grounder(run / "model").graph
    atlas, named = load_atlas(), {node.finding for node in graph.nodes if node.kind == "entity"}
    finer = {finding for finding in named if not trained.isdisjoint(atlas.more_general(finding))}
    assert named - trained <= finer  # "bandlike atelectasis" is a phrase of the finding atelectasis
    assert trained & named


def test_a_data_set_without_validation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text("")
    values = TINY | {"data": {"folder": str(tmp_path)}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ManifestError, match="studies in the splits train and val"):
        train(tmp_path / "r.yaml", (), tmp_path / "runs", lambda _: None)


def test_a_data_set_that_is_to_be_prepared_is_not_simulated(tmp_path: Path) -> None:
    values = TINY | {"data": {"folder": str(tmp_path / "mine"), "studies": 0}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ManifestError, match="knowmvg prepare"):
        train(tmp_path / "r.yaml", (), tmp_path / "runs", lambda _: None)
    assert not (tmp_path / "mine").exists()


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_grounder(tmp_path)


@pytest.mark.slow
def test_a_graph_of_ones_own_takes_the_place_of_the_atlas(run: Path, recipe: Path) -> None:
    built = load_grounder(run / "model").graph
    own = recipe.parent / "own.json"
    save_graph(built.only(range(3)), own)
    other = train(recipe, ["name=own", f"variant.knowledge.graph={own}"], recipe.parent / "runs", lambda _: None)
    assert load_grounder(other / "model").graph == load_graph(own)
    hashes = [json.loads((place / "run.json").read_text())["knowledge"] for place in (run, other)]
    assert hashes[0] != hashes[1]


def test_licensed_knowledge_is_refused_before_any_work(recipe: Path) -> None:
    graph = build_graph([Phrase(text="edema", finding="edema")], load_atlas())
    licensed = graph.model_copy(update={"nodes": tuple(n.model_copy(update={"licence": "UMLS"}) for n in graph.nodes)})
    own, runs = recipe.parent / "licensed.json", recipe.parent / "licensed-runs"
    save_graph(licensed, own, allow_licensed=True)
    with pytest.raises(KnowledgeError, match="private"):
        train(recipe, ["name=own", f"variant.knowledge.graph={own}"], runs, lambda _: None)
    assert not (runs / "parts").exists()


def _without_masks(data: Path, target: Path) -> Path:
    """The same studies as a data set that has boxes alone."""
    target.mkdir()
    (target / "images").symlink_to(data / "images")
    rows = (row.model_copy(update={"masks": None}) for row in read_rows(data))
    (target / "manifest.jsonl").write_text("".join(row.model_dump_json(by_alias=True) + "\n" for row in rows))
    return target


@pytest.mark.slow
def test_data_without_masks_take_frozen_parts_from_simulated_ones(run: Path, recipe: Path) -> None:
    plain = _without_masks(recipe.parent / "data", recipe.parent / "plain")
    own, runs = ["name=own-data", f"data.folder={plain}"], recipe.parent / "runs"
    with pytest.raises(ManifestError, match=r"data\.masked"):
        train(recipe, own, runs, lambda _: None)
    before = set((runs / "parts").glob("segmenter-*"))
    trained = train(recipe, [*own, f"data.masked={recipe.parent / 'data'}"], runs, lambda _: None)
    assert (trained / "model" / "model.safetensors").is_file()
    assert set((runs / "parts").glob("segmenter-*")) == before  # what the simulated data taught is shared
