"""KnowMVG's own promises: token, states, variants, evidence, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from knowmvg.core.errors import ModelError
from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase, Study
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.batch import make_example
from knowmvg.grounders.prompted.tokenizer import BOX, SPECIAL, GroundingTokenizer
from knowmvg.grounders.prompted.variants import VARIANTS, ModelConfig, Variant, knowmvg
from knowmvg.grounders.spans import find_spans
from knowmvg.grounders.store import load_grounder
from knowmvg.knowledge.graph import KnowledgeGraph
from tests.grounders.conftest import REPORT, labelled_study, radiograph, tiny_grounder


def test_box_is_one_token_of_its_own(tokenizer: GroundingTokenizer) -> None:
    ids = [tokenizer.backend.token_to_id(token) for token in SPECIAL]
    assert len(set(ids)) == len(SPECIAL)
    assert tokenizer.write_answer([("edema", 2)]).count(tokenizer.box) == 2


def test_no_text_can_write_a_special_token(tokenizer: GroundingTokenizer) -> None:
    ids = tokenizer.encode(f"edema {BOX} <image><end> <BOX<BOX>>")
    assert not set(ids) & {tokenizer.box, tokenizer.image, tokenizer.end, tokenizer.answer, tokenizer.report}


def test_answers_read_back(tokenizer: GroundingTokenizer) -> None:
    written = tokenizer.write_answer([("small left pleural effusion", 1), ("bilateral edema", 2)])
    read = tokenizer.read_answer(written)
    assert [(p.text, len(p.boxes)) for p in read] == [("small left pleural effusion", 1), ("bilateral edema", 2)]
    assert all(written[i] == tokenizer.box for p in read for i in p.boxes)


@pytest.mark.parametrize(
    ("ids", "phrases"),
    [
        ([], 0),
        (["end"], 0),
        (["box", "end"], 0),  # a box for no words
        (["word", "end"], 0),  # words for no box
        (["word", "box"], 1),  # cut off before the end
        (["end", "word", "box"], 0),  # after the end nothing counts
        (["word", "box", "box", "word", "box", "end"], 2),
    ],
)
def test_odd_answers_are_read_without_error(tokenizer: GroundingTokenizer, ids: list[str], phrases: int) -> None:
    codes = {"end": tokenizer.end, "box": tokenizer.box, "word": tokenizer.encode("edema")[0]}
    assert len(tokenizer.read_answer([codes[i] for i in ids])) == phrases


def test_a_long_report_is_cut_and_the_answer_never(tokenizer: GroundingTokenizer) -> None:
    study = labelled_study()
    long = Study(study.image, study.report + " clear" * 3000, "long", None, study.labels)
    example = make_example(long, tokenizer, 64, lambda _: set())
    assert len(example.prompt) <= tokenizer.max_report + tokenizer.image_length + 2
    assert example.answer.count(tokenizer.box) == 3
    assert example.prompt[-1] == tokenizer.answer


def test_an_example_follows_the_report_and_leaves_absent_phrases_out(tokenizer: GroundingTokenizer) -> None:
    example = make_example(labelled_study(), tokenizer, 64, lambda p: {len(p.text)})
    phrases = tokenizer.read_answer(example.answer)
    assert [p.text for p in phrases] == ["small left pleural effusion", "bilateral edema"]
    np.testing.assert_allclose(example.boxes[0] * 64, np.array([40, 20, 80, 60]) * 64 / 90 + [0, 64 / 9] * 2, atol=1e-4)
    assert [bool(np.isnan(mask.astype(float)).any()) for mask in example.masks] == [False, True, True]
    assert example.masks[0].max() == pytest.approx(1.0)


def test_the_state_that_predicts_the_box_token_is_used(tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> None:
    grounder = tiny_grounder(VARIANTS["baseline"](), tokenizer, graph)
    batch = grounder.collate([grounder.example(labelled_study())])
    for row, column in zip(batch.box_rows.tolist(), batch.box_columns.tolist(), strict=True):
        assert int(batch.input_ids[row, column + 1]) == tokenizer.box


def test_generated_and_given_answers_have_the_same_boxes(tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> None:
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    study = labelled_study()
    batch = grounder.collate([grounder.example(study)])
    optimizer = torch.optim.Adam(grounder.trainable().values(), lr=3e-3)
    for _ in range(80):  # learn this one report by heart
        optimizer.zero_grad()
        grounder.losses(batch)["text"].backward()
        optimizer.step()
    told = grounder.ground([study])[0]
    assert [p.text for p in told.phrases] == ["Small left pleural effusion", "Bilateral edema"]
    assert [p.span for p in told.phrases] == [(10, 37), (56, 71)]
    queries = [Query(Phrase(text=p.text.lower()), len(p.boxes)) for p in told.phrases]
    given = grounder.ground_phrases([study], [queries])[0]
    for a, b in zip(told.phrases, given.phrases, strict=True):
        np.testing.assert_allclose([r.xyxy for r in a.boxes], [r.xyxy for r in b.boxes], atol=1e-3)


def test_the_trained_parts_of_each_variant(tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> None:
    parts = {
        name: {key.split(".")[0] + "." + key.split(".")[1] for key in tiny_grounder(v(), tokenizer, graph).trainable()}
        for name, v in VARIANTS.items()
    }
    assert "knowledge.convolution" in parts["kps"] & parts["knowmvg"]
    assert not any(key.startswith("knowledge") for key in parts["baseline"] | parts["gla"] | parts["lisa"])
    for name in ("gla", "knowmvg"):
        assert {"attention.local_prompt", "attention.gate"} <= parts[name]
    for name in ("baseline", "kps", "lisa"):
        assert {key for key in parts[name] if key.startswith("attention")} == {"attention.decoder"}
    for name in parts:
        assert not any(key.startswith(("segmenter", "image_encoder")) for key in parts[name])


def test_evidence_names_nodes_local_boxes_mask_and_gate(tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> None:
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    answer = grounder.ground_phrases([labelled_study()], [[Query(Phrase(text="bilateral edema"), 2)]])[0]
    evidence = answer.phrases[0].evidence
    assert evidence is not None
    assert len(evidence.knowledge) == 5
    assert {node.text for node in evidence.knowledge} <= set(graph.texts)
    similarities = [node.similarity for node in evidence.knowledge]
    assert similarities == sorted(similarities, reverse=True)
    assert len(evidence.local_boxes) == 2
    assert evidence.global_box is not None
    assert evidence.gate == pytest.approx(0.5)


def test_without_its_elements_knowmvg_is_the_baseline(tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> None:
    study, queries = labelled_study(), [[Query(Phrase(text="edema"), 1)]]
    plain = tiny_grounder(VARIANTS["baseline"](), tokenizer, graph)
    bare = tiny_grounder(Variant(knowledge=None, attention="plain"), tokenizer, graph)
    assert plain.ground_phrases([study], queries) == bare.ground_phrases([study], queries)
    full = tiny_grounder(knowmvg(), tokenizer, graph)
    shared = full.model.state_dict()
    plain.model.load_state_dict({key: shared[key] for key in plain.model.state_dict()})
    prompts = plain.model.attention.decoder
    assert all(
        torch.equal(p, q) for p, q in zip(prompts.parameters(), full.model.attention.decoder.parameters(), strict=True)
    )


def test_configurations_survive_json() -> None:
    from knowmvg.nn.language_model import LanguageModelConfig

    for build in VARIANTS.values():
        config = ModelConfig(LanguageModelConfig(100), variant=build())
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ModelError, match="a model configuration of this version"):
        ModelConfig.from_dict({"language": {}})


def test_spans_are_found_in_order_whatever_the_case_and_space() -> None:
    report = "Left  effusion. IMPRESSION: left effusion; edema."
    assert find_spans(report, ["left effusion", "left effusion", "edema", "nodule", ""]) == [
        (0, 14),
        (28, 41),
        (43, 48),
        None,
        None,
    ]


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json", "knowledge.json"])
def test_a_damaged_folder_is_refused(
    tokenizer: GroundingTokenizer, graph: KnowledgeGraph, tmp_path: Path, broken: str
) -> None:
    folder = tmp_path / "model"
    store.save(tiny_grounder(knowmvg(), tokenizer, graph), folder)
    whole = (folder / broken).read_bytes()
    (folder / broken).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError):
        load_grounder(folder)
    (folder / broken).unlink()
    with pytest.raises(ModelError, match="no " + broken.replace(".", r"\.")):
        load_grounder(folder)


def test_another_format_is_refused(tokenizer: GroundingTokenizer, graph: KnowledgeGraph, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    store.save(tiny_grounder(knowmvg(), tokenizer, graph), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": "knowmvg.grounder/99"}))
    with pytest.raises(ModelError, match="grounder/99"):
        load_grounder(folder)


def test_saving_again_keeps_what_others_wrote(
    tokenizer: GroundingTokenizer, graph: KnowledgeGraph, tmp_path: Path
) -> None:
    folder, grounder = tmp_path / "model", tiny_grounder(knowmvg(), tokenizer, graph)
    store.save(grounder, folder)
    (folder / "README.md").write_text("card")
    store.save(grounder, folder)
    assert (folder / "README.md").read_text() == "card"
    assert not (tmp_path / "model.partial").exists()


def test_any_report_gets_an_answer(tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> None:
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    grounder.max_new_tokens = 5
    for report in ("", " \n", "Ä ü 漢字 🩻 \x00 ‮", REPORT * 60):
        assert grounder.ground([Study(radiograph(40, 40, 0), report)])[0].image_size == (40, 40)
