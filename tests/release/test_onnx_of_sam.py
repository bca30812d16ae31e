"""SAM's image encoder, of the real class, as an ONNX graph: what it gives without torch, weights beside the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from transformers.utils import logging

from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.onnx_parts import parts_of
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import ModelConfig, adjacency_of, baseline, build_model
from knowmvg.grounders.segmenters.load import load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.inference import onnx_export
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.image_encoder import ImageEncoderConfig
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from tests.grounders.conftest import REPORT, labelled_study
from tests.segmenters.tiny_sam import SIDE, tiny_sam

pytestmark = pytest.mark.slow  # torch's tracing


def grounder_on_sam(folder: Path, dtype: str) -> PromptedGrounder:
    """The baseline on a tiny SAM that is saved and loaded as a hub id is."""
    logging.disable_progress_bar()
    tiny_sam().save_pretrained(folder)
    sam = load_sam(SamPart(id=str(folder), dtype=dtype))
    logging.enable_progress_bar()
    words = GroundingTokenizer.train([REPORT] * 3, 4, 320)
    graph = build_graph([label.phrase for label in labelled_study().labels], load_atlas())
    said = sam.prompts
    language = LanguageModelConfig(
        len(words),
        width=32,
        layers=1,
        image_channels=said.channels,
        image_grid=said.grid,
        image_tokens=2,
        image_token_id=words.image,
    )
    encoder = ImageEncoderConfig(canvas=said.canvas, channels=said.channels)
    config = ModelConfig(language, encoder, said, baseline("token"))
    nodes, adjacency = torch.randn(len(graph.texts), 12), adjacency_of(graph, config.variant)
    model = build_model(config, nodes, adjacency, sam.encoder, sam.segmenter, LanguageModel(language)).eval()
    return PromptedGrounder(model, config, words, graph, "tiny")


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-4), ("bfloat16", 0.3)])
def test_the_graph_gives_what_the_encoder_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, close: float
) -> None:
    grounder = grounder_on_sam(tmp_path / "sam", dtype)
    part = parts_of(grounder)["image_encoder"]
    assert part.outputs[0].shape == ("B", 32, SIDE // 8, SIDE // 8)
    monkeypatch.setattr(onnx_export, "LARGE", 1024)
    (tmp_path / "out").mkdir()
    difference = onnx_export._write("image_encoder", part, tmp_path / "out", onnx_export.OPSET)
    assert difference < 1e-4  # of single precision: what is half precision in torch is not in the graph
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "image_encoder.onnx",
        "image_encoder.onnx.data",
    ]
    onnx.checker.check_model(str(tmp_path / "out" / "image_encoder.onnx"))
    canvas = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    session = InferenceSession(tmp_path / "out" / "image_encoder.onnx", providers=["CPUExecutionProvider"])
    (seen,) = session.run(None, {"canvas": canvas.numpy()})
    with torch.no_grad():
        wanted = grounder.model.encode(canvas).numpy()
    assert np.abs(seen - wanted).max() < close * np.abs(wanted).max()
