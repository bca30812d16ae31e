"""How well a diffusion model's maps point: against random weights and other phrases, by read-out and by merging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from tqdm import tqdm

from knowmvg.core.boxes import FloatArray
from knowmvg.core.records import Phrase, Study
from knowmvg.evaluation.controls import Shuffled
from knowmvg.evaluation.intervals import mean_interval, paired_difference
from knowmvg.evaluation.map_scores import scores_of
from knowmvg.evaluation.metrics import region_of
from knowmvg.evaluation.studies import patient_of
from knowmvg.grounders.canvas import frame_of, in_frame
from knowmvg.grounders.diffusion.grounder import seen_cells
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.reading import PhraseReader, RawMaps, heat_of
from knowmvg.grounders.diffusion.settings import ReadSettings

METRICS = ("cnr", "pointing", "auroc", "miou_thr", "miou_2cls@0.5")
SHARES = ("pointing", "auroc", "miou_thr", "miou_2cls@0.5")
LARGE = 0.05  # of the image
BATCH = 8


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of phrases by metric ``[n]``, their patients and which of them are large; the passes that they took."""

    scores: dict[str, FloatArray]
    patients: tuple[str, ...]
    large: FloatArray
    passes: int

    def row(self) -> dict[str, object]:
        """Means with their intervals over patients; of the phrases whose metric is finite."""
        found: dict[str, object] = {"phrases": len(self.patients), "unet_passes": self.passes}
        for name in METRICS:
            found[name] = self._mean(self.scores[name], np.isfinite(self.scores[name]), name)
        found["pointing_large"] = self._mean(self.scores["pointing"], self.large > 0, "pointing")
        return found

    def over(self, other: Scored) -> dict[str, object]:
        """Paired differences to another row, with their intervals over patients."""
        found: dict[str, object] = {}
        for name in METRICS:
            first, second = self.scores[name], other.scores[name]
            kept = np.isfinite(first) & np.isfinite(second)
            clusters = [p for p, k in zip(self.patients, kept, strict=True) if k]
            difference = paired_difference(first[kept], second[kept], clusters)
            found[name] = (
                None if difference is None else rounded(difference.model_dump(include={"value", "low", "high"}))
            )
        return found

    def _mean(self, values: FloatArray, kept: np.ndarray, name: str) -> object:
        clusters = [p for p, k in zip(self.patients, kept, strict=True) if k]
        estimate = mean_interval(values[kept], clusters, share=name in SHARES)
        return None if estimate is None else rounded(estimate.model_dump())


def rounded(numbers: dict[str, float | None]) -> dict[str, float | None]:
    """Four digits are told."""
    return {name: None if value is None else round(value, 4) for name, value in numbers.items()}


def score(
    parts: DiffusionParts,
    settings: ReadSettings,
    studies: Sequence[Study],
    asked: Sequence[Sequence[Phrase]],
    heats: dict[str, ReadSettings],
    told: str,
) -> dict[str, Scored]:
    """Read ``asked`` once with ``settings``, and score each of ``heats`` made of it against the studies' boxes."""
    reader = PhraseReader(parts, settings)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in heats}
    patients, large = [], []
    for start in tqdm(range(0, len(studies), BATCH), told, mininterval=10):
        for study, one, phrase_maps in _read(reader, studies[start : start + BATCH], asked[start : start + BATCH]):
            boxes = [label.boxes for label in study.labels if len(label.boxes)]
            for box, raw in zip(boxes, phrase_maps, strict=True):
                patients.append(patient_of(study))
                large.append(float(region_of(box, study.image.size).mean() > LARGE))
                for name, how in heats.items():
                    rows[name].append(scores_of(one.drawn(raw, how), box, study.image.size))
    tables = {name: {metric: np.array([row[metric] for row in rows[name]]) for metric in METRICS} for name in heats}
    return {name: Scored(table, tuple(patients), np.array(large), reader.passes) for name, table in tables.items()}


class _Drawn:
    """The maps of one study on its image."""

    def __init__(self, study: Study, parts: DiffusionParts, fit: str) -> None:
        self.frame = frame_of(study.image, parts.latents.side, fit)
        self.canvas = torch.from_numpy(in_frame(study.image, self.frame))
        self.seen = seen_cells(self.frame, parts.latents.shape[1])

    def drawn(self, raw: RawMaps | None, settings: ReadSettings) -> FloatArray | None:
        """The heat ``[H, W]``, as ``EvidenceMap.on_image`` draws it."""
        if raw is None:
            return None
        heat = heat_of(_only(raw, settings), self.seen, settings).astype(np.float32)
        return np.clip(self.frame.render_back(heat), 0, 1).astype(np.float64)


def _only(raw: RawMaps, settings: ReadSettings) -> RawMaps:
    """What a read-out would have read: without noise, without attention or without biases."""
    if settings.read == "attention":
        raw = replace(raw, noise=None)
    if settings.read == "noise_difference":
        raw = replace(raw, attention=None)
    return raw if settings.merge != "off" else replace(raw, product=None)


def _read(
    reader: PhraseReader, studies: Sequence[Study], asked: Sequence[Sequence[Phrase]]
) -> Iterator[tuple[Study, _Drawn, list[RawMaps | None]]]:
    placed = [_Drawn(study, reader.parts, reader.settings.fit) for study in studies]
    found = reader.read(torch.stack([one.canvas for one in placed]).unsqueeze(1), asked)
    yield from zip(studies, placed, found, strict=True)


def own_phrases(studies: Sequence[Study]) -> list[list[Phrase]]:
    """The phrases with boxes of each study."""
    return [[label.phrase for label in study.labels if len(label.boxes)] for study in studies]


def other_phrases(studies: Sequence[Study], seed: int) -> list[list[Phrase]]:
    """As many phrases of another patient's study, for each study (evaluation.controls)."""
    view = Shuffled(studies, seed)
    return [
        [label.phrase for label in view(study).labels][: len(own)]
        for study, own in zip(studies, own_phrases(studies), strict=True)
    ]


def with_random_weights(parts: DiffusionParts, seed: int) -> DiffusionParts:
    """The same model with a UNet that has learnt nothing."""
    torch.manual_seed(seed)
    unet = type(parts.unet).from_config(parts.unet.config).requires_grad_(False).eval()
    return replace(parts, unet=unet.to(parts.device))


def halved(settings: ReadSettings) -> ReadSettings:
    """Half as many steps over the same noise: what compares each with a second pass takes as many passes then."""
    first, last = (round(each / 2) for each in settings.window)
    return settings.with_changes(steps=max(1, round(settings.steps / 2)), window=(first, max(first + 1, last)))


def measure_maps(
    parts: DiffusionParts, settings: ReadSettings, studies: Sequence[Study], merged: int, seeds: int
) -> dict[str, object]:
    """Read-outs at equal passes, true and other phrases, trained and random; merging on ``merged`` of the studies."""
    attention = settings.with_changes(read="attention", merge="off")
    compared = halved(attention).with_changes(read="attention_and_noise")
    reads = {
        "attention": (attention, {"attention": attention}),
        "noise": (
            compared,
            {
                "noise_difference": compared.with_changes(read="noise_difference"),
                "attention_and_noise": compared,
                "attention_half_the_passes": compared.with_changes(read="attention"),
            },
        ),
    }
    own, other = own_phrases(studies), other_phrases(studies, settings.seed)
    random = with_random_weights(parts, settings.seed)
    rows: dict[str, dict[str, Scored]] = {"trained": {}, "shuffled": {}, "random": {}}
    for told, (how, heats) in reads.items():
        rows["trained"] |= score(parts, how, studies, own, heats, f"{told}, trained")
        rows["shuffled"] |= score(parts, how, studies, other, heats, f"{told}, other phrases")
        rows["random"] |= score(random, how, studies, own, heats, f"{told}, random weights")
    found: dict[str, object] = {
        "steps": attention.steps,
        "window": attention.window,
        "rows": {who: {name: one.row() for name, one in each.items()} for who, each in rows.items()},
        "over_shuffled": {name: one.over(rows["shuffled"][name]) for name, one in rows["trained"].items()},
        "over_random": {name: one.over(rows["random"][name]) for name, one in rows["trained"].items()},
        "over_attention": {
            name: rows["trained"][name].over(rows["trained"]["attention"])
            for name in ("noise_difference", "attention_and_noise")
        },
    }
    if merged:
        found["merging"] = [_merging(parts, attention, studies[:merged], seed) for seed in range(seeds)]
    return found


def _merging(parts: DiffusionParts, settings: ReadSettings, studies: Sequence[Study], seed: int) -> dict[str, object]:
    """Without merging, and with both products, of one seed."""
    own, found, plain = own_phrases(studies), {}, None
    for merge in ("matmul", "hadamard"):
        how = settings.with_changes(merge=merge, seed=seed)
        heats = {"off": how.with_changes(merge="off"), merge: how}
        scored = score(parts, how, studies, own, heats, f"merging by {merge}, seed {seed}")
        plain = plain or scored["off"]
        found[merge] = {**scored[merge].row(), "over_off": scored[merge].over(plain)}
    assert plain is not None
    return {"seed": seed, "studies": len(studies), "off": {**plain.row(), "unet_passes": None}, **found}
