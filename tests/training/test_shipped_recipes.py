"""Every recipe that ships: read, built on tiny stand-ins of the real classes, trained for one step, and asked.

Only ids, sizes and the length of the run are replaced; variant, losses, adapters and all else are the file's. Shared
parts are made once for all recipes, as `runs/parts` does for a user.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers.utils import logging

from knowmvg.core.grounder import Query
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.limits import AnswerLimits
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from tests.backbones.test_text_models import write_text_model
from tests.backbones.tiny_families import write_family
from tests.segmenters.tiny_sam import SIDE, tiny_sam
from tests.training.encoders import save_roberta

ROOT = Path(__file__).parents[2] / "recipes"
FILES = sorted(path for path in ROOT.rglob("*.yaml") if path.parent.name != "data")
SHIPPED = [
    path for path in FILES if isinstance(read_recipe(path), Recipe)
]  # of other systems: tests/training/diffusing
FULL = ROOT / "full"
ROWS = ("knowmvg", "baseline", "kps", "gla", "lisa", "medground", "umedground")
BENCHMARKS = ("chestx-ray8", "mimic-vqa", "mimic-class")
CPU_SIZES = (
    "image_encoder={canvas: 64, channels: 16, widths: [8, 8, 16], blocks: [1, 1, 1], attention: 1}",
    "segmenter={prompts: 2, mlp: 16, heads: 2, schedule: {steps: 1, batch: 2, lr: 1.0e-3}}",
    "language={width: 32, layers: 1, vocabulary: 400, image_tokens: 2, schedule: {steps: 1, batch: 2, lr: 1.0e-3}}",
)


@dataclass(frozen=True)
class StandIns:
    """Folders of the tiny models and of simulated studies, and where runs go."""

    data: Path
    language_model: Path
    text_model: Path
    sam: Path
    text_encoder: Path
    runs: Path

    def overrides(self, recipe: Recipe) -> list[str]:
        """What makes a shipped recipe small enough for a test."""
        keys = [f"data.folder={self.data}", "train.steps=1", "train.accumulate=1", "train.validate=0", "local_steps=0"]
        keys += ["train.batch=2", "validation_studies=2", "threads=1", "answer.max_new_tokens=4"]
        keys.append("machine.precision=fp32")
        if recipe.sam is None:
            keys += CPU_SIZES
        if recipe.language_model is None:
            return keys
        if recipe.language_model.gguf is not None:  # one that has read text alone, which reads the map
            text = {"id": str(self.text_model), "gguf": None, "dtype": "float32", "image_tokens": 2}
            return [*keys, *(f"language_model.{key}={'null' if said is None else said}" for key, said in text.items())]
        keys += [f"language_model.id={self.language_model}", "language_model.dtype=float32"]
        keys += [f"sam.id={self.sam}", "sam.dtype=float32", f"image_encoder={{canvas: {SIDE}, channels: 32}}"]
        if recipe.variant.knowledge is not None:
            keys.append(f"variant.knowledge.texts.encoder={self.text_encoder}")
        return keys


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIns]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    folder = tmp_path_factory.mktemp("family")
    write_dataset(folder / "data", studies=12, seed=3, size=64, splits=(0.5, 0.25, 0.25), workers=1)
    tiny_sam().save_pretrained(folder / "sam")
    write_family("llava", folder / "llava")
    write_text_model("llama", folder / "llama")
    save_roberta(folder / "roberta", positions=514)
    gc.freeze()  # Trainer collects garbage each time it ends; what was imported is none
    yield StandIns(
        folder / "data", folder / "llava", folder / "llama", folder / "sam", folder / "roberta", folder / "runs"
    )
    gc.unfreeze()
    logging.set_verbosity_warning()
    logging.enable_progress_bar()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT).with_suffix("")))
def test_a_shipped_recipe_is_built_stepped_and_asked(path: Path, stand_ins: StandIns) -> None:
    shipped = read_recipe(path)
    assert isinstance(shipped, Recipe)
    run = train(path, stand_ins.overrides(shipped), stand_ins.runs, lambda _: None)
    grounder = store.load(run / "model")
    assert grounder.limits == AnswerLimits(shipped.answer.batch_size, 4)
    chosen = grounder.config.variant
    said = shipped.variant.model_dump(exclude={"knowledge"})
    assert {key: getattr(chosen, key) for key in said} == said
    assert (chosen.knowledge is None) == (shipped.variant.knowledge is None)
    row = next(row for row in read_rows(stand_ins.data, "test") if row.phrases)
    study = load_study(stand_ins.data, row)
    (named,) = grounder.ground([study])
    assert named.image_size == study.image.size
    (placed,) = grounder.ground_phrases([study], [[Query(row.phrases[0].phrase(), 2)]])
    assert len(placed.phrases[0].boxes) == 2
    evidence = placed.phrases[0].evidence
    assert evidence is not None
    assert len(evidence.box_deviations) == (2 if chosen.hypotheses > 1 else 0)
    assert bool(evidence.knowledge) == (chosen.knowledge is not None)
    assert (evidence.gate is not None) == (chosen.attention == "global-local")


def test_every_row_of_the_family_is_there_for_every_benchmark() -> None:
    for row in ROWS:
        assert FULL / f"{row}.yaml" in SHIPPED
        for benchmark in BENCHMARKS:
            path = FULL / benchmark / f"{row}.yaml"
            recipe, of_row = read_recipe(path), read_recipe(FULL / f"{row}.yaml")
            assert recipe.name == f"{row}-{benchmark}"
            differing = {"name", "data"}
            assert recipe.model_dump(exclude=differing) == of_row.model_dump(exclude=differing)
            assert recipe.data.folder != of_row.data.folder


def test_half_precision_is_trained_and_asked_too(stand_ins: StandIns) -> None:
    path = FULL / "knowmvg.yaml"
    shipped = read_recipe(path)
    assert shipped.machine.precision == "bf16"
    keys = [key for key in stand_ins.overrides(shipped) if "dtype" not in key and "precision" not in key]
    run = train(path, [*keys, "name=half"], stand_ins.runs, lambda _: None)
    grounder = store.load(run / "model")
    half = {name for name, weight in grounder.model.named_parameters() if weight.dtype == torch.bfloat16}
    assert {name.split(".")[0] for name in half} == {"image_encoder", "vlm"}
    assert not half & set(grounder.trainable())  # what is trained is in single precision
    row = next(row for row in read_rows(stand_ins.data, "test") if row.phrases)
    (placed,) = grounder.ground_phrases([load_study(stand_ins.data, row)], [[Query(row.phrases[0].phrase(), 1)]])
    assert len(placed.phrases[0].boxes) == 1


def test_the_cpu_size_language_model_is_not_trained_for_another(stand_ins: StandIns) -> None:
    path = FULL / "kps.yaml"
    run = train(path, stand_ins.overrides(read_recipe(path)), stand_ins.runs / "apart", lambda _: None)
    stages = {folder.name.partition("-")[0] for folder in (run.parent / "parts").iterdir()}
    assert stages == {"words", "features", "tokens", "frozen", "nodes", "leaks"}


def test_names_are_all_different() -> None:
    names = [read_recipe(path).name for path in FILES]
    assert len(set(names)) == len(names)
