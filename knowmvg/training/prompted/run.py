"""The stages of a run of the prompted family, in order."""

from __future__ import annotations

from pathlib import Path

from knowmvg.grounders.prompted import store
from knowmvg.training.hardware import processes
from knowmvg.training.prompted.frozen_parts import image_features, image_tokens, pretrained_segmenter
from knowmvg.training.prompted.language_parts import backbone_of, pretrained_language, words
from knowmvg.training.prompted.model import assembled, may_share, own_graph
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.teaching import teach
from knowmvg.training.prompted.workplace import SHARED_STAGES, Workplace, open_workplace, sha256_of
from knowmvg.training.run_folder import common_facts, seconds_of, timed, write_json
from knowmvg.training.studies import Report


def train_prompted(recipe: Recipe, folder: Path, parts: Path, report: Report) -> None:
    """Train a grounder into ``folder``; ``parts`` holds what runs share.

    Raises:
        RecipeError, ManifestError, LeakError, KnowledgeError: see those.
        Stopped: interrupted after saving a checkpoint.
    """
    chosen_graph = own_graph(recipe, folder)
    with timed(folder, "data"):
        work = open_workplace(recipe, parts, report)
    tokenizer, graph = words(work)
    language = pretrained_language(work, tokenizer)
    segmenter = pretrained_segmenter(work)
    features = image_features(work, segmenter)
    backbone = backbone_of(recipe)
    tokens = None if backbone is None or backbone.pictures is None else image_tokens(work, backbone)
    with timed(folder, "train"):
        grounder = assembled(work, tokenizer, chosen_graph or graph, language, segmenter, backbone)
        best = teach(work, grounder, features, tokens, folder / "train")
    if not processes().main:
        return
    facts = common_facts(recipe, work.studies.fingerprint, _seconds(work, folder)) | {
        "knowledge": sha256_of(grounder.graph),
        "train_studies": len(work.studies.train),
        "validation": {name: round(value, 4) for name, value in best.items()},
    }
    store.save(grounder, folder / "model", facts, allow_licensed=may_share(recipe))
    write_json(folder / "run.json", facts)


def _seconds(work: Workplace, folder: Path) -> dict[str, float]:
    """The seconds of all stages; those of shared stages are of the run that made them."""
    seconds = seconds_of(folder)
    for stage in SHARED_STAGES:
        seconds |= seconds_of(work.folder(stage))
    return seconds
