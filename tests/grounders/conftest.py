from __future__ import annotations

import numpy as np
import pytest
import torch

from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Radiograph, Side, Study
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import VARIANTS, ModelConfig, Variant, adjacency_of, build_model
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.image_encoder import ImageEncoderConfig
from knowmvg.nn.language_model import LanguageModelConfig
from knowmvg.nn.prompt_encoder import PromptConfig

REPORT = "FINDINGS: Small left pleural effusion. No pneumothorax. Bilateral edema."


def radiograph(width: int, height: int, seed: int) -> Radiograph:
    noise = np.random.default_rng(seed).random((height, width))
    return Radiograph(noise.astype(np.float32))


def labelled_study(seed: int = 0, size: tuple[int, int] = (90, 70)) -> Study:
    width, height = size
    effusion = Phrase(text="Small left pleural effusion", span=(10, 37), finding="pleural effusion", side=Side.LEFT)
    edema = Phrase(text="Bilateral edema", span=(56, 71), finding="edema", side=Side.BILATERAL)
    absent = Phrase(text="pneumothorax", span=(42, 54), finding="pneumothorax", assertion=Assertion.ABSENT)
    masks = np.zeros((1, height, width), dtype=bool)
    masks[0, 20:60, 40:80] = True
    labels = (
        LabelledPhrase(edema, np.array([[5.0, 5, 30, 50], [50, 5, 80, 50]])),
        LabelledPhrase(absent, np.zeros((0, 4))),
        LabelledPhrase(effusion, np.array([[40.0, 20, 80, 60]]), masks),
    )
    return Study(radiograph(width, height, seed), REPORT, f"study-{seed}", f"patient-{seed}", labels)


@pytest.fixture(scope="session")
def graph() -> KnowledgeGraph:
    phrases = [label.phrase for label in labelled_study().labels]
    return build_graph(phrases, load_atlas())


@pytest.fixture(scope="session")
def tokenizer() -> GroundingTokenizer:
    return GroundingTokenizer.train([REPORT, "Right lower lobe pneumonia with a nodule."] * 3, 4, 300 + 40)


def tiny_config(tokenizer: GroundingTokenizer, variant: Variant) -> ModelConfig:
    return ModelConfig(
        LanguageModelConfig(
            len(tokenizer),
            width=32,
            layers=2,
            heads=2,
            image_channels=16,
            image_grid=8,
            image_tokens=2,
            image_token_id=tokenizer.image,
        ),
        ImageEncoderConfig(canvas=64, channels=16, widths=(8, 8, 16), blocks=(1, 1, 1), attention=1, heads=2),
        PromptConfig(channels=16, canvas=64, grid=8, mlp=16, heads=2),
        variant,
    )


def tiny_grounder(
    variant: Variant, tokenizer: GroundingTokenizer, graph: KnowledgeGraph, seed: int = 0
) -> PromptedGrounder:
    torch.manual_seed(seed)
    config = tiny_config(tokenizer, variant)
    features = torch.randn(len(graph.texts), 12)
    model = build_model(config, features, adjacency_of(graph, variant))
    model.eval()
    return PromptedGrounder(model, config, tokenizer, graph, "tiny")


@pytest.fixture(params=sorted(VARIANTS))
def grounder(request: pytest.FixtureRequest, tokenizer: GroundingTokenizer, graph: KnowledgeGraph) -> PromptedGrounder:
    return tiny_grounder(VARIANTS[request.param](), tokenizer, graph)
