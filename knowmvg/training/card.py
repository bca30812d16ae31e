"""The model card: ``README.md`` beside a trained model, written from what the run and its evaluation left in files.

Every figure on a card comes from ``run.json`` or ``metrics.json``; nothing is typed by hand, and nothing is rounded up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.core.records import DISCLAIMER
from knowmvg.training.card_header import base_of, header
from knowmvg.training.card_tables import figures, line, map_figures, strata
from knowmvg.training.data_origin import DataOrigin, origin_of_run

METRICS, MAPS = "knowmvg.metrics/1", "knowmvg.maps/1"
CARD = "README.md"
LARGEST = 16 * 2**20  # bytes of a JSON file
STAGES = {
    "data": "simulating and reading data",
    "language": "language model",
    "segmenter": "image encoder and mask decoder",
    "features": "caching features",
    "train": "grounding",
    "text": "text encoder",
    "images": "reading images",
    "autoencoder": "image autoencoder",
    "latents": "caching latents",
    "vision": "vision encoder",
    "reports": "stage 1, reports",
    "boxes": "stage 2, boxes",
}
INTRODUCTIONS = {
    "prompted": """A model of [knowmvg](https://arxiv.org/abs/2604.01915) (KnowMVG rebuilt at laptop size): a chest
radiograph and its report go in; the report's diagnostic phrases come out, with boxes on the image.
""",
    "diffusion": """A latent diffusion model of chest radiographs that is read as Generate to Ground
([arXiv 2507.12236](https://arxiv.org/abs/2507.12236)) reads one: a radiograph and the diagnostic phrases of its report
go in; boxes of the phrases come out. It was trained on images and reports, without boxes.
""",
    "coordinates": """A multimodal language model that writes its boxes as text, built and tuned as
PFMVG ([arXiv 2410.23822](https://arxiv.org/abs/2410.23822)) is: a radiograph and a diagnostic phrase go in; its boxes
come out.
""",
}
USE = f"""**{DISCLAIMER}**

## Intended use

Demonstration and research: showing how the method works, testing software around it, comparing variants. It is no
medical device and no second reader; it must not be used for the care of patients.
"""
SIMULATED = """It has learnt from simulated radiographs with simulated reports. Radiographs of patients differ, and
nothing here says that it places a finding on one of them. No radiograph and no report of a patient was used.
"""
UNKNOWN = """This card does not describe the training data further: the data set was not at hand when it was written, or
is not one that knowmvg simulated. Its own terms may bind the weights.
"""
LIMITS = """## Limits

* The figures are of the test studies of one data set: they compare rows, and say nothing of other images.
* Intervals cover the choice of test patients, not the luck of training (one seed).
* It reads frontal radiographs of adults and English reports. It names what a report states and finds nothing by itself.
* {score} It is no probability of disease.

## Licence

Apache-2.0.
"""
SCORES = {
    "prompted": "A score estimates a box's overlap with the true region.",
    "diffusion": "A score is the mean of the heat map in its box: it orders boxes and is not calibrated.",
    "coordinates": "A score is the mean (geometric) probability of the numbers that were written, not calibrated.",
}


def write_card(run: Path, evaluation: Path | None = None) -> Path:
    """Write ``model/README.md`` for a trained run, whole or not at all, and return its path.

    Args:
        run: a folder of ``knowmvg train``, with ``run.json`` and ``model/``.
        evaluation: a folder of ``knowmvg evaluate`` with ``metrics.json``; ``RUN/evaluation-test`` by default.

    Raises:
        ModelError: a file that is missing, no JSON, or of another version.
        OutputError: the card cannot be written.
    """
    model = run / "model"
    if not (model / "config.json").is_file():
        raise ModelError("a run folder with a trained model", f"no config.json in {model}", "Train it: knowmvg train.")
    facts = _read(run / "run.json", f"Train it again: knowmvg train writes {run / 'run.json'}.")
    folder = evaluation if evaluation is not None else run / "evaluation-test"
    metrics = _read(folder / "metrics.json", f"Evaluate it first: knowmvg evaluate {run}.")
    if metrics.get("schema") != METRICS:
        raise ModelError(f"figures of the schema {METRICS}", repr(metrics.get("schema")), "Evaluate the model again.")
    try:
        origin = origin_of_run(facts)
        tested_on = origin.name if evaluation is None else evaluation.resolve().name
        maps = [_read(path, "Evaluate it again.") for path in sorted(folder.glob("maps-*.json"))]
        text = card(facts, metrics, origin, tested_on, base_of(model), [one for one in maps if one["schema"] == MAPS])
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise ModelError(
            "run.json and metrics.json of this version",
            f"{type(error).__name__} at {error}",
            "Train and evaluate again.",
        ) from error
    return _write(model / CARD, text)


def card(
    facts: dict[str, Any],
    metrics: dict[str, Any],
    origin: DataOrigin,
    tested_on: str,
    base: str | None = None,
    maps: Sequence[dict[str, Any]] = (),
) -> str:
    """The card's text.

    Args:
        facts: the content of ``run.json``.
        metrics: the content of ``metrics.json``.
        origin: what is known of the training data.
        tested_on: name of the data set that the figures are of.
        base: hub id of the model that this one was trained on, if any.
        maps: the content of each ``maps-KIND.json``.

    Raises ``KeyError``, ``TypeError``, ``AttributeError``, ``ValueError`` or ``IndexError`` for another content.
    """
    recipe = facts["recipe"]
    system = recipe.get("system", "prompted")
    blocks = [
        header(recipe["name"], metrics, tested_on, base),
        f"# {recipe['name']}\n",
        INTRODUCTIONS[system],
        USE,
        figures(metrics, named=system == "prompted"),
        map_figures(maps),
        strata(metrics),
        _data(facts, origin),
        _training(facts),
        LIMITS.format(score=SCORES[system]),
    ]
    return "\n".join(blocks)


def _data(facts: dict[str, Any], origin: DataOrigin) -> str:
    data, studies = facts["recipe"]["data"], facts["train_studies"]
    if origin.kind == "simulated":
        told = (
            f"{studies} simulated studies (knowmvg.sources.phantom, seed {data['seed']}, {data['size']} pixels a side)."
        )
    else:
        told = f"{studies} studies of the data set `{origin.name}`."
    hashes = [f"* manifest: `{facts['data_fingerprint']}`"]
    if "knowledge" in facts:
        hashes.append(f"* knowledge graph: `{facts['knowledge']}`")
    return "\n".join(["## Training data", "", told, "", _terms(origin), "SHA-256:", "", *hashes, ""])


def _terms(origin: DataOrigin) -> str:
    if origin.kind == "simulated":
        return SIMULATED
    if origin.kind == "unknown":
        return UNKNOWN
    version = f", version {origin.version}" if origin.version else ""
    given = (
        "It is given to credentialed users only: its agreement may bind the weights.\n" if origin.credentialed else ""
    )
    return f"Prepared from {origin.name}{version}; its licence, as its publisher says it: {origin.licence}.\n{given}"


def _training(facts: dict[str, Any]) -> str:
    recipe = facts["recipe"]
    seconds = {name: float(value) for name, value in facts["seconds"].items()}
    lines = ["## Training", "", "```bash", "knowmvg train recipe.yaml  # the resolved recipe of the run", "```", ""]
    lines += [
        f"Seed {recipe['seed']}, {_hardware(facts)}, on whatever else ran beside it.",
        "",
    ]
    lines += [line(["stage", "minutes"]), line(["---", "---"])]
    lines += [line([STAGES.get(name, name), f"{value / 60:.1f}"]) for name, value in seconds.items()]
    lines += [line(["all", f"{sum(seconds.values()) / 60:.1f}"]), ""]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines += [f"Versions: {versions}; source {facts.get('git') or 'unknown'}.", ""]
    return "\n".join(lines)


def _hardware(facts: dict[str, Any]) -> str:
    threads, device = facts["threads"], facts.get("device", "cpu")
    return f"{threads} thread{'s' if threads != 1 else ''}" if device == "cpu" else str(device)


def _read(path: Path, todo: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"at most {LARGEST // 2**20} MiB of JSON", f"more at {path}", todo)
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no JSON"
        raise ModelError("a readable JSON file", f"{reason} at {path}", todo) from error
    if not isinstance(values, dict):
        raise ModelError("a JSON object", f"{type(values).__name__} at {path}", todo)
    return values


def _write(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = error.strerror or type(error).__name__
        raise OutputError("a folder that can be written", f"{reason} at {path.parent}", "Check its rights.") from error
    return path
