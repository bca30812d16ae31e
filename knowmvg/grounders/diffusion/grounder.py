"""A diffusion model behind the common interface: studies in, groundings out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from knowmvg.core.boxes import FloatArray
from knowmvg.core.errors import ModelError
from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query, ReportReader
from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.core.records import Evidence, GroundedPhrase, Grounding, Region, Study
from knowmvg.grounders.canvas import frame_of, in_frame
from knowmvg.grounders.diffusion.merging import stretched
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.reading import PhraseReader, RawMaps, heat_of
from knowmvg.grounders.diffusion.regions import boxes_of
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.naming import to_be_placed
from knowmvg.grounders.versions import software_versions

NO_WORD = "The phrase has no word that names a finding or a place, so that there is nothing to look for."
CUT = "A phrase is longer than the model's text encoder reads; the words at its end were not looked for."


class DiffusionGrounder:
    """Generate to Ground and its relatives (core.grounder.MapGrounder, ReadingGrounder).

    Args:
        parts: the diffusion model.
        settings: how it is read.
        name: what results call it.
        reader: names the phrases of a report; the model itself names none.
        mapped: whether evidence holds maps (``with_maps``).
        findings: canonical names of the findings whose phrases it has seen as captions (core.grounder.LimitedGrounder);
            ``None`` for a model that is asked everything.

    Raises:
        ModelError: settings that do not fit the model.
    """

    batch_size = 8

    def __init__(
        self,
        parts: DiffusionParts,
        settings: ReadSettings,
        name: str,
        reader: ReportReader | None = None,
        mapped: bool = False,
        findings: frozenset[str] | None = None,
    ) -> None:
        self.parts, self.settings, self.name, self.reader, self.mapped = parts, settings, name, reader, mapped
        self.findings = findings
        self.phrases = PhraseReader(parts, settings)

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Read the reports, name the phrases that are there to be placed, and place them.

        Raises ``ModelError`` without a reader of reports.
        """
        if self.reader is None:
            todo = "Make it with one (docs/diffusion.md), or give the phrases."
            raise ModelError("a grounder with a reader of reports", "one without", todo)
        return self.ground_phrases(studies, to_be_placed(self.reader, studies, self.findings))

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """Place given phrases, in order; the report is not looked at.

        A query with a number of boxes gets as many of the map's components, or those that there are; one without gets
        what ``settings.regions`` says.
        """
        if len(studies) != len(queries):
            raise ValueError(f"expected one list of queries a study, got {len(queries)} for {len(studies)} studies")
        answers: list[Grounding] = []
        for start in range(0, len(studies), self.batch_size):
            part = slice(start, start + self.batch_size)
            answers += self._batch(studies[part], queries[part])
        return answers

    @property
    def maps(self) -> tuple[MapKind, ...]:
        """The maps that its evidence can hold."""
        kinds = [MapKind.HEAT]
        if self.settings.read != "noise_difference":
            kinds.append(MapKind.CROSS_ATTENTION)
        if self.settings.merge != "off":
            kinds += [MapKind.IMAGE_BIAS, MapKind.TEXT_BIAS]
        if self.settings.read != "attention":
            kinds.append(MapKind.NOISE_DIFFERENCE)
        return tuple(kinds)

    def with_maps(self) -> DiffusionGrounder:
        """This grounder with maps in its evidence; it shares the text biases that are known already."""
        return self if self.mapped else self._as(self.reader, mapped=True)

    def with_reader(self, reader: ReportReader) -> DiffusionGrounder:
        """This grounder with a reader of reports (core.grounder.ReadingGrounder)."""
        return self._as(reader, self.mapped)

    def _as(self, reader: ReportReader | None, mapped: bool) -> DiffusionGrounder:
        made = DiffusionGrounder(self.parts, self.settings, self.name, reader, mapped, self.findings)
        made.phrases = self.phrases
        return made

    def with_settings(self, **changes: Any) -> DiffusionGrounder:
        """This grounder read in another way. Raises ``ModelError`` for settings that are impossible or do not fit."""
        settings = self.settings.with_changes(**changes)
        return DiffusionGrounder(self.parts, settings, self.name, self.reader, self.mapped, self.findings)

    def reads(self, report: str) -> bool:
        """It is never shown the report: a phrase of any words is asked as it stands."""
        return True

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.parts.device

    def _batch(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        side = self.parts.latents.side
        frames = [frame_of(study.image, side, self.settings.fit) for study in studies]
        drawn = [torch.from_numpy(in_frame(study.image, frame)) for study, frame in zip(studies, frames, strict=True)]
        phrases = [[query.phrase for query in row] for row in queries]
        read = self.phrases.read(torch.stack(drawn).unsqueeze(1), phrases)
        return [
            Grounding(
                image_size=study.image.size,
                phrases=tuple(self._placed(q, raw, frame) for q, raw in zip(row, maps, strict=True)),
                model=self.name,
                versions=software_versions() | {"diffusers": version("diffusers")},
                warnings=(*study.image.warnings, *((CUT,) if any(raw is not None and raw.cut for raw in maps) else ())),
                study=study.id,
            )
            for study, row, maps, frame in zip(studies, queries, read, frames, strict=True)
        ]

    def _placed(self, query: Query, raw: RawMaps | None, frame: Frame) -> GroundedPhrase:
        told = query.phrase.model_dump()
        if raw is None:
            return GroundedPhrase(**told, reason=NO_WORD)
        cells = self.parts.latents.shape[1]
        seen = seen_cells(frame, cells)
        heat = heat_of(raw, seen, self.settings)
        found = boxes_of(heat, seen, self.parts.latents.side, self.settings, query.boxes)
        boxes = frame.from_grid(found.boxes, (cells, cells))
        regions = [Region(xyxy=tuple(box), score=float(s)) for box, s in zip(boxes.tolist(), found.scores, strict=True)]
        evidence = Evidence(maps=self._evidence(heat, raw, seen, frame)) if self.mapped else Evidence()
        return GroundedPhrase(
            **told, boxes=tuple(sorted(regions, key=lambda r: r.xyxy[0])), evidence=evidence, reason=found.reason
        )

    def _evidence(
        self, heat: FloatArray, raw: RawMaps, seen: NDArray[np.bool_], frame: Frame
    ) -> tuple[EvidenceMap, ...]:
        found = [EvidenceMap(MapKind.HEAT, heat.astype(np.float32), frame)]
        if raw.attention is not None:
            spread = stretched(raw.attention, seen).astype(np.float32)
            found.append(EvidenceMap(MapKind.CROSS_ATTENTION, spread, frame))
        shares = {
            MapKind.IMAGE_BIAS: raw.image_bias,
            MapKind.TEXT_BIAS: raw.text_bias,
            MapKind.NOISE_DIFFERENCE: raw.noise,
        }
        for kind, values in shares.items():
            if values is not None:
                highest = float(values.max()) or 1.0
                found.append(EvidenceMap(kind, np.clip(values / highest, 0, 1).astype(np.float32), frame, highest))
        return tuple(found)


def seen_cells(frame: Frame, cells: int) -> NDArray[np.bool_]:
    """Cells ``[S, S]`` of the map whose middle shows the image; all of them where the image is thinner than a cell."""
    width, height = frame.stored
    ((x1, y1, x2, y2),) = frame.to_grid([[0, 0, width, height]], (cells, cells)).tolist()
    middles = np.arange(cells) + 0.5
    inside = ((middles > y1) & (middles < y2))[:, None] & ((middles > x1) & (middles < x2))[None]
    return inside if inside.any() else np.ones((cells, cells), dtype=np.bool_)
