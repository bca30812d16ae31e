"""A recipe of PFMVG tried before it is trained: built, shown a few studies, taught a step of each stage, and measured.

Parts of a model of CPU size that are not trained yet are as they are drawn. Of a base the published weights are loaded,
as training would.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from knowmvg.core.boxtext.views import View
from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.sources.manifest import StudyRow
from knowmvg.training.coordinates.both_stages import (
    model_of,
    phrase_lessons,
    published_model,
    report_lessons,
    small_part,
)
from knowmvg.training.coordinates.lessons import Lessons, PhraseLessons, ReportLessons
from knowmvg.training.coordinates.run import reports_folder
from knowmvg.training.coordinates.shown import frame_of_row
from knowmvg.training.coordinates.tokens import BATCH, FreshTokens, place_of
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.doctor.coordinates_checks import look_at_adapters, look_at_lengths, look_at_numbers
from knowmvg.training.doctor.coordinates_parts import SmallBase, small_base
from knowmvg.training.doctor.coordinates_step import OwnStage, Section, lengths_of, part_of, tried_stage
from knowmvg.training.doctor.coordinates_validation import validation_stage
from knowmvg.training.doctor.finding import Finding
from knowmvg.training.doctor.measuring import size_of
from knowmvg.training.doctor.trial_result import PartSize, Stage, Trial
from knowmvg.training.memory import highest_memory

SAMPLE = 64  # pairs whose answers are read
LOOKS = 4  # images that are looked at, to know what all of them take

Unseen = dict[Path, tuple[Path, Sequence[StudyRow]]]
"""Files of image tokens that are not there yet, each with its data set folder and rows."""


def try_out_coordinates(work: Workplace) -> Trial | None:
    """Build the model of a recipe and teach it a few steps of each stage, where training would compute.

    Returns ``None`` where no stage is left to be trained. Raises ``KnowmvgError`` where a part cannot be built.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _Trial(work, replace(work, parts=Path(folder), report=lambda _: None)).made()


class _Trial:
    """The stages of a recipe one after the other.

    Args:
        work: where training would work; nothing is made there.
        place: the same with a folder of parts of its own.
    """

    def __init__(self, work: Workplace, place: Workplace) -> None:
        self.work, self.place, self.recipe = work, place, work.recipe
        self.own, self.checks, self.unseen = list[OwnStage](), list[Finding](), Unseen()
        self.base = SmallBase(Path(), (), 0) if self.recipe.base else small_base(work, place)
        self.loaded: SpeakingBackbone | None = None

    def made(self) -> Trial | None:
        """What was found."""
        for section in self._sections():
            self._try(section)
        if self.loaded is None:
            return None
        tokens, disk = self._tokens(self.loaded)
        most = max(self.own, key=lambda own: own.cost.memory)
        images = sum(len(rows) for _, rows in self.unseen.values())
        return Trial(
            parts=_parts(self.loaded, {_plain(name) for own in self.own for name in own.trained}),
            stages=(*self.base.stages, *tokens, *(own.cost for own in self.own), self._validation(self.loaded)),
            growth=most.growth,
            largest=most.largest,
            updating=most.updating,
            kept_by_optimizer=most.kept,
            cached=-(-max(disk, self.base.disk) // max(1, images)),  # the images of the vision encoder go before
            studies=max(1, images),
            loss=self.own[-1].loss,
            untaught=sorted({name for own in self.own for name in own.untaught}),
            broken=[name for own in self.own for name in own.broken],
            checks=self.checks,
            section=most.section,
        )

    def _sections(self) -> Iterator[Section]:
        """The stages that are not done."""
        if self.recipe.caption.epochs and self._taught_reports() is None:
            yield "caption"
        if self.recipe.grounding.epochs:
            yield "grounding"

    def _taught_reports(self) -> Path | None:
        """The model of CPU size after stage 1, where runs have it already."""
        if self.recipe.base is not None or not self.recipe.caption.epochs:
            return None
        folder = self.work.parts / reports_folder(self.place).name / "model"
        return folder if (folder / "config.json").is_file() else None

    def _try(self, section: Section) -> None:
        self.loaded = loaded = self._model(adapted=section == "grounding")
        lessons: Lessons = (report_lessons if section == "caption" else phrase_lessons)(self.place, loaded)
        items = range(0, len(lessons.lengths), max(1, len(lessons.lengths) // SAMPLE))
        self.checks += self._checks(loaded, lessons, items)
        self.own.append(tried_stage(self.place, loaded, lessons, section))
        if self.recipe.keep_tokens:
            for folder, rows in lessons.sources().items():
                path = self.work.parts / place_of(loaded, folder, rows, self.recipe.fit)
                if not path.is_file():
                    self.unseen[path] = folder, rows

    def _model(self, *, adapted: bool) -> SpeakingBackbone:
        """The model that a stage begins with; of a published one both stages have the same."""
        if self.recipe.base is not None:
            return self.loaded or published_model(self.place, self.recipe.base)[0]
        self.loaded = None  # the one before is let go first
        folder = (adapted and self._taught_reports()) or self.base.folder
        return model_of(small_part(str(folder), self.work, adapted=adapted), self.work.device)[0]

    def _checks(self, loaded: SpeakingBackbone, lessons: Lessons, items: Sequence[int]) -> Iterator[Finding]:
        """What is asked of this system alone."""
        if isinstance(lessons, PhraseLessons):
            if loaded.part.lora is not None:
                yield look_at_adapters(loaded, loaded.part.lora)
            codec, told = self.recipe.codec, [lessons.pair(item, Random(0)) for item in items]
            answers = [(pair.answer, len(codec.decode(pair.answer, shown[2]).boxes)) for shown, pair in told]
            yield look_at_numbers(loaded, codec, answers)
        positions = loaded.vlm.model.config.get_text_config().max_position_embeddings
        most, key = min(loaded.part.max_length, positions), "base.max_length"
        if self.recipe.base is None:
            key = "scratch.language.positions"
        todo = f"Raise {key}{', or lower caption.most_words' if isinstance(lessons, ReportLessons) else ''}."
        yield from look_at_lengths(lengths_of(loaded, lessons, items), most, todo)

    def _validation(self, loaded: SpeakingBackbone) -> Stage:
        last = self.own[-1]
        if last.section == "caption":
            return validation_stage(self.place, loaded, 0, 0)
        trained = sum(p.numel() for name, p in loaded.vlm.model.named_parameters() if name in last.trained)
        return validation_stage(self.place, loaded, last.cost.steps, 4 * trained + last.kept)

    def _tokens(self, loaded: SpeakingBackbone) -> tuple[list[Stage], int]:
        """The stage in which image tokens are kept, if any are to be, and their bytes on disk."""
        images = sum(len(rows) for _, rows in self.unseen.values())
        if not images:
            return [], 0
        folder, rows = next(iter(self.unseen.values()))
        view, look = View(self.recipe.fit, (loaded.pictures.side,) * 2), FreshTokens(loaded)
        shown = [(folder, row, frame_of_row(folder, row, view)) for row in rows[:LOOKS]]
        tokens = look(shown[:1])
        taken = highest_memory(lambda: look(shown), self.work.device) * min(BATCH, images) // len(shown)
        started = time.perf_counter()
        look(shown)
        seconds = (time.perf_counter() - started) / len(shown)
        stage = Stage("tokens", images, seconds, size_of(loaded.vlm).stored + taken)
        return [stage], 2 * tokens.numel() * images


def _plain(name: str) -> str:
    """The name of a parameter as it is without adapters."""
    return name.replace(".base_layer.", ".")


def _parts(loaded: SpeakingBackbone, trained: Collection[str]) -> dict[str, PartSize]:
    """The model's parts; what either stage trains counts as trained."""
    found = dict[str, PartSize]()
    tensors = [*loaded.vlm.model.named_parameters(), *loaded.vlm.model.named_buffers()]
    weights = {name for name, _ in loaded.vlm.model.named_parameters()}
    for name, tensor in tensors:
        part, count = part_of(name), tensor.numel() if name in weights else 0
        taught = count if _plain(name) in trained else 0
        so_far = found.get(part, PartSize(0, 0, 0))
        stored = so_far.stored + tensor.numel() * tensor.element_size()
        found[part] = PartSize(so_far.parameters + count, so_far.trained + taught, stored)
    return found
