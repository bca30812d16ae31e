"""Exported graphs against torch, and the example that runs them in a process where torch cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image

from knowmvg.core.errors import KnowledgeError, ModelError, OutputError
from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase, Study
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import Variant, adjacency_of, baseline, build_model, knowmvg
from knowmvg.grounders.store import load_grounder
from knowmvg.inference import onnx_export
from knowmvg.inference.onnx_export import write_onnx
from knowmvg.interfaces.cli.main import main
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.knowledge_prompts import KnowledgeConfig
from knowmvg.sources.image import read_radiograph
from tests.grounders.conftest import REPORT, labelled_study, tiny_config

pytestmark = pytest.mark.slow  # torch's tracing takes half a minute of one core

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_without_torch.py"


def tiny(variant: Variant) -> PromptedGrounder:
    """A tiny grounder whose decoders have one block: tracing takes the longer the more there are."""
    words = GroundingTokenizer.train([REPORT, "Right lower lobe pneumonia with a nodule."] * 3, 4, 340)
    graph = build_graph([label.phrase for label in labelled_study().labels], load_atlas())
    config = tiny_config(words, variant)
    config = replace(config, prompts=replace(config.prompts, layers=1))
    torch.manual_seed(0)
    model = build_model(config, torch.randn(len(graph.texts), 12), adjacency_of(graph, variant)).eval()
    return PromptedGrounder(model, config, words, graph, "tiny")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PromptedGrounder]:
    """The recommended variant, exported once by the command."""
    place = tmp_path_factory.mktemp("onnx")
    store.save(tiny(knowmvg(mask_from="branch", knowledge=KnowledgeConfig(k=3))), place / "model")
    assert main(["export", str(place / "model"), "--onnx", str(place / "out")]) == 0
    return place / "out", load_grounder(place / "model")


def test_the_folder_says_what_is_in_it(exported: tuple[Path, PromptedGrounder]) -> None:
    folder, grounder = exported
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert sorted(about["parts"]) == ["box_decoder", "image_encoder", "language_model"]
    assert about["frame"]["canvas"] == 64
    assert about["nodes"] == list(grounder.knowledge)
    for part in about["parts"].values():
        graph = onnx.load(folder / part["file"])
        onnx.checker.check_model(graph)
        assert graph.opset_import[0].version == about["opset"] == 20
        assert [i.name for i in graph.graph.input] == [port["name"] for port in part["inputs"]]
        assert [o.name for o in graph.graph.output] == [port["name"] for port in part["outputs"]]
        assert part["greatest_difference_from_torch"] < 1e-4


def test_every_number_of_images_and_boxes(exported: tuple[Path, PromptedGrounder]) -> None:
    folder, grounder = exported
    torch.manual_seed(1)
    for images, boxes in ((1, 1), (1, 4), (3, 2), (5, 7)):
        canvas = torch.rand(images, 1, 64, 64)
        states, answers = torch.randn(boxes, 32), torch.randn(boxes, 32)
        rows = torch.randint(0, images, (boxes,))
        with torch.no_grad():
            features = grounder.model.encode(canvas)
            placed = grounder.model.place(states, answers, features, rows)
        session = InferenceSession(folder / "image_encoder.onnx", providers=["CPUExecutionProvider"])
        (seen,) = session.run(None, {"canvas": canvas.numpy()})
        np.testing.assert_allclose(seen, features.numpy(), atol=1e-4)
        session = InferenceSession(folder / "box_decoder.onnx", providers=["CPUExecutionProvider"])
        given = {"states": states, "answers": answers, "features": features, "rows": rows}
        found = session.run(["boxes", "scores", "nodes"], {name: tensor.numpy() for name, tensor in given.items()})
        np.testing.assert_allclose(found[0], placed.decoded.boxes.xyxy.numpy(), atol=1e-4)
        np.testing.assert_allclose(found[1], placed.decoded.boxes.score.sigmoid().numpy(), atol=1e-4)
        np.testing.assert_array_equal(found[2], placed.knowledge.nodes.numpy())


def test_the_example_gives_the_models_boxes_without_torch(
    exported: tuple[Path, PromptedGrounder], tmp_path: Path
) -> None:
    folder, grounder = exported
    image, report = tmp_path / "image.png", tmp_path / "report.txt"
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (70, 90), dtype=np.uint8)).save(image)
    report.write_text(REPORT, encoding="utf-8")
    code = (
        "import json, runpy, sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        "from pathlib import Path; place = runpy.run_path(sys.argv[1])['place']\n"
        "print(json.dumps(place(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]).read_text(), sys.argv[5:])))"
    )
    phrases = ["Small left pleural effusion", "Bilateral edema"]
    command = [sys.executable, "-c", code, str(EXAMPLE), str(folder), str(image), str(report), *phrases]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    study = Study(read_radiograph(image), REPORT, "study")
    (wanted,) = grounder.ground_phrases([study], [[Query(Phrase(text=text), 1) for text in phrases]])
    for (text, box, score), phrase in zip(json.loads(told), wanted.phrases, strict=True):
        assert text == phrase.text
        assert box == pytest.approx(phrase.boxes[0].xyxy, abs=0.05)
        assert score == pytest.approx(phrase.boxes[0].score, abs=1e-3)


def test_what_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(tiny(knowmvg(knowledge=KnowledgeConfig(selection="random"))), tmp_path / "model")
    with pytest.raises(ModelError, match="by lot"):
        write_onnx(tmp_path / "model", tmp_path / "out")
    path = tmp_path / "model" / "knowledge.json"
    graph = json.loads(path.read_text(encoding="utf-8"))
    graph["nodes"][0]["licence"] = "Some-Licence"
    path.write_text(json.dumps(graph), encoding="utf-8")
    with pytest.raises(KnowledgeError, match="Some-Licence"):
        write_onnx(tmp_path / "model", tmp_path / "out")
    with pytest.raises(OutputError, match="new or empty"):
        write_onnx(tmp_path / "model", tmp_path / "model")
    assert main(["export", str(tmp_path / "model")]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_graph_that_differs_from_torch_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(tiny(baseline("token")), tmp_path / "model")
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="a difference of"):
        write_onnx(tmp_path / "model", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
