"""The whole robustness test of a model: controls, changed images and words, denials, evidence taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from knowmvg.core.grounder import Grounder, KnowledgeGrounder
from knowmvg.core.records import Study
from knowmvg.evaluation.evaluate import evaluate
from knowmvg.evaluation.intervals import RESAMPLES
from knowmvg.evaluation.naming import Reader
from knowmvg.evaluation.protocol import View, as_is, run
from knowmvg.evaluation.robustness.changed_studies import ChangedStudies
from knowmvg.evaluation.robustness.denial import ask_denied
from knowmvg.evaluation.robustness.evidence import Evidence, EvidenceTest
from knowmvg.evaluation.robustness.image_changes import IMAGE_CHANGES, ImageChange
from knowmvg.evaluation.robustness.laterality import LateralitySwap
from knowmvg.evaluation.robustness.measure import Title, change_row, denial_row, evidence_rows, side_row
from knowmvg.evaluation.robustness.pairs import Bootstrap
from knowmvg.evaluation.robustness.paraphrase import Paraphrase
from knowmvg.evaluation.robustness.results import Robustness
from knowmvg.evaluation.robustness.rows import ChangeRow, DenialRow, EvidenceRow, SideRow
from knowmvg.evaluation.samples import Protocol, Sample
from knowmvg.evaluation.studies import Progress, Studies, count


def stress(
    grounder: Grounder,
    studies: Studies,
    *,
    training_studies: Studies | None,
    protocol: Protocol | str = Protocol.PHRASE_GIVEN,
    image_changes: Sequence[ImageChange] = IMAGE_CHANGES,
    seed: int = 0,
    progress: Progress | None = None,
    reader: Reader | None = None,
    batch_size: int = 16,
    resamples: int = RESAMPLES,
    name: str = "model",
) -> Robustness:
    """Ask a model again and again: with changed images and words, and without what it says that it used.

    Args:
        grounder: the model; one that is a ``KnowledgeGrounder`` is tested for its knowledge too.
        studies: labelled studies; about 25 passes over them.
        training_studies: where the controls learn; ``None`` leaves those out, and the result says so.
        protocol: how to ask. Denials are asked in ``generate`` and in ``phrase_given`` whatever it is, and evidence in
            ``phrase_given`` where it is ``generate``.
        image_changes: what is done to the images.
        seed: of all draws.
        progress: told stage, studies done and their number.
        reader: tells finding and side of generated phrases that come without, for denials.
        batch_size: studies asked at once.
        resamples: of the bootstrap.
        name: the model's name.

    Raises:
        ManifestError: two studies with the same identifier.
        ModelError: an answer that breaks the ``Grounder`` contract.
        ValueError: an unknown protocol, or training studies without a box.
    """
    test = _Stress(
        grounder, studies, Protocol(protocol), seed, progress, reader, batch_size, Bootstrap(resamples, seed)
    )
    controls = evaluate(
        grounder,
        studies,
        training_studies=training_studies,
        protocols=[test.protocol],
        seed=seed,
        progress=progress,
        reader=reader,
        batch_size=batch_size,
        resamples=resamples,
        name=name,
    )
    test.plain[test.protocol] = controls.parts[0].samples
    images = [test.image(change) for change in image_changes]
    sides = test.sides()
    wording = test.wording()
    denials = [test.denial(asked) for asked in (Protocol.GENERATE, Protocol.PHRASE_GIVEN)]
    evidence, notes = test.evidence()
    return Robustness(
        name=name,
        seed=seed,
        resamples=resamples,
        controls=controls.parts[0].rows,
        images=tuple(images),
        wording=(wording,),
        sides=(sides,),
        denials=tuple(denials),
        evidence=tuple(evidence),
        notes=(*controls.notes, *notes),
    )


class _Stress:
    """One model, its studies and its plain answers by protocol."""

    def __init__(
        self,
        grounder: Grounder,
        studies: Studies,
        protocol: Protocol,
        seed: int,
        progress: Progress | None,
        reader: Reader | None,
        batch_size: int,
        draw: Bootstrap,
    ) -> None:
        self.grounder, self.studies, self.protocol, self.seed, self.draw = grounder, studies, protocol, seed, draw
        self.reader, self.batch_size = reader, batch_size
        self.plain: dict[Protocol, tuple[Sample, ...]] = {}
        self._progress = progress

    def image(self, change: ImageChange) -> ChangeRow:
        """Ask with every image changed; its boxes go with it."""
        changed = ChangedStudies(self.studies, change, self.seed)
        title = Title(self.protocol, change.name, change.strength)
        samples = self._ask(self.protocol, f"{change.name}, {change.strength}", changed, _renamed(change))
        return change_row(title, self.plain[self.protocol], samples, self.draw, moved=changed.moved)

    def wording(self) -> ChangeRow:
        """Ask with the placed phrases in other words."""
        view = Paraphrase(self.seed)
        samples = self._ask(self.protocol, "paraphrase", self.studies, view)
        title = Title(self.protocol, "paraphrase")
        plain = self.plain[self.protocol]
        return change_row(
            title, plain, samples, self.draw, only=lambda sample: sample.index in view.reworded[sample.study]
        )

    def sides(self) -> SideRow:
        """Ask with left and right exchanged."""
        view = LateralitySwap()
        samples = self._ask(self.protocol, "left and right exchanged", self.studies, view)
        title = Title(self.protocol, "left and right exchanged")
        return side_row(title, self.plain[self.protocol], samples, self.draw, swapped=view.swapped, widths=view.widths)

    def denial(self, protocol: Protocol) -> DenialRow:
        """Ask with the placed phrases denied."""
        if protocol not in self.plain:
            self.plain[protocol] = self._ask(protocol, f"{protocol}: as it is", self.studies)
        found = ask_denied(
            protocol,
            self.grounder,
            self.studies,
            self.plain[protocol],
            reader=self.reader,
            batch_size=self.batch_size,
            progress=self._progress,
        )
        return denial_row(Title(protocol, "finding denied in the report"), found.phrases, found.n_left_out, self.draw)

    def evidence(self) -> tuple[list[EvidenceRow], list[str]]:
        """Ask without the cited knowledge and without the answered region, and say which phrases were left out."""
        protocol = self.protocol if self.protocol.gives_phrases else Protocol.PHRASE_GIVEN
        test = EvidenceTest(self.grounder, protocol, self.seed)
        found = test.run(self.studies, batch_size=self.batch_size, progress=self._progress)
        return evidence_rows(protocol, found, self.draw), list(self._left_out(found))

    def _left_out(self, found: Evidence) -> Iterator[str]:
        if not isinstance(self.grounder, KnowledgeGrounder) or not self.grounder.knowledge:
            yield "No knowledge rows: the model has no knowledge that can be taken away."
        if found.n_without_box:
            yield f"Evidence: {found.n_without_box} phrases had no box to begin with."
        if found.n_uncited:
            yield f"Evidence: {found.n_uncited} phrases cited no knowledge, or so much that as much other is not there."
        if found.n_unmaskable:
            yield f"Evidence: {found.n_unmaskable} phrases have boxes too large for a region of their size elsewhere."

    def _ask(self, protocol: Protocol, stage: str, studies: Studies, view: View = as_is) -> tuple[Sample, ...]:
        result = run(
            protocol,
            self.grounder,
            studies,
            view=view,
            reader=self.reader,
            batch_size=self.batch_size,
            progress=_totalled(self._progress, count(self.studies)),
            stage=stage,
        )
        return result.samples


def _renamed(change: ImageChange) -> Callable[[Study], Study]:
    """A view that changes the identifier alone, lest a cache know the image."""
    return lambda study: replace(study, id=f"{study.id} ({change.name} {change.strength})")


def _totalled(progress: Progress | None, total: int | None) -> Progress | None:
    """Progress that knows how many studies a lazy pass will give."""
    if progress is None:
        return None
    tell = progress
    return lambda stage, done, known: tell(stage, done, known if known is not None else total)
