"""The prompted family behind the common interface: studies in, groundings out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query
from knowmvg.core.maps import MapKind
from knowmvg.core.records import Evidence, GroundedPhrase, Grounding, KnowledgeNode, Phrase, Region, Study
from knowmvg.grounders.canvas import canvas_of, drawn
from knowmvg.grounders.prompted.batch import Batch, Example, collate, left_padded, make_example, right_padded
from knowmvg.grounders.prompted.limits import AnswerLimits
from knowmvg.grounders.prompted.maps import evidence_maps, map_kinds
from knowmvg.grounders.prompted.model import NoKnowledge, Placed, PromptedModel
from knowmvg.grounders.prompted.objective import Objective, grounding_losses
from knowmvg.grounders.prompted.tokenizer import AnswerPhrase, ReportTokenizer
from knowmvg.grounders.prompted.uncertainty import box_deviations, box_scores
from knowmvg.grounders.prompted.variants import ModelConfig, adjacency_of
from knowmvg.grounders.spans import find_spans
from knowmvg.grounders.versions import software_versions
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.nn.knowledge_prompts import KnowledgePrompts
from knowmvg.nn.mask_decoder import soft_extent

if TYPE_CHECKING:  # the auto classes of transformers take seconds to import, which the CPU-size model need not wait for
    from knowmvg.grounders.backbones.load import LoadedBackbone

MAX_BOXES = 4  # a phrase

Box = tuple[float, float, float, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer to one study: its phrases, and the state ``[M, D]`` that emits each of its ``M`` tokens."""

    phrases: list[AnswerPhrase]
    states: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean of its states ``[D]``."""
        return self.states.mean(dim=0)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of the images of ``B`` studies the map ``[B, d, g, g]`` that boxes are decoded on, and what is read.

    ``shared`` says that all are one image.
    """

    map: Tensor
    tokens: Tensor
    shared: bool


class PromptedGrounder:
    """KnowMVG, its ablation rows and LISA (core.grounder.LimitedGrounder).

    Args:
        model: the parts, joined.
        config: their shape.
        tokenizer: of the language model.
        graph: the knowledge graph that the model was trained with.
        name: what results call this model.
        mapped: whether evidence holds maps (``with_maps``).
        backbone: what the language model was loaded as, where it is one of the ecosystem's; one without a vision tower
            of its own reads the map of the image encoder, as the CPU-size one does.
        limits: how many studies are answered at once, and how long an answer may be.
    """

    def __init__(
        self,
        model: PromptedModel,
        config: ModelConfig,
        tokenizer: ReportTokenizer,
        graph: KnowledgeGraph,
        name: str,
        *,
        mapped: bool = False,
        backbone: LoadedBackbone | None = None,
        limits: AnswerLimits | None = None,
    ) -> None:
        self.model, self.config, self.tokenizer, self.graph, self.name = model, config, tokenizer, graph, name
        self.mapped, self.backbone, self.limits = mapped, backbone, limits or AnswerLimits()

    # --- answering -----------------------------------------------------------------------------------------------

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Read the reports, name the phrases and place them; one grounding a study, in order."""
        answers: list[Grounding] = []
        for batch, _ in self._parts(studies, studies):
            seen, frames = self._encode(batch)
            answers += self._groundings(batch, frames, seen.map, self._generate(batch, seen), None)
        return answers

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """Place given phrases, in order; a query without a number of boxes leaves it to the language model."""
        if len(studies) != len(queries):
            raise ValueError(f"expected one list of queries a study, got {len(queries)} for {len(studies)} studies")
        answers: list[Grounding] = []
        for batch, asked in self._parts(studies, queries):
            seen, frames = self._encode(batch)
            given = self._read_forced(batch, seen.tokens, asked)
            phrases = [[query.phrase for query in row] for row in asked]
            answers += self._groundings(batch, frames, seen.map, given, phrases)
        return answers

    def drawn(self, study: Study) -> Study:
        """The study with its image on the model's canvas (core.grounder.DrawingGrounder)."""
        return drawn(study, self.config.image_encoder.canvas)

    def _parts(self, studies: Sequence[Study], beside: Sequence[T]) -> Iterator[tuple[Sequence[Study], Sequence[T]]]:
        """Studies, with what is beside each, so many at once."""
        size = self.limits.batch_size
        for start in range(0, len(studies), size):
            yield studies[start : start + size], beside[start : start + size]

    @property
    def findings(self) -> frozenset[str]:
        """The findings that the training phrases named."""
        return frozenset(node.finding for node in self.graph.nodes if node.finding is not None and node.count > 0)

    def reads(self, report: str) -> bool:
        """Whether the report is written in words that the language model has read, and is short enough to be read."""
        return self.tokenizer.knows(report) and len(self.tokenizer.encode(report)) <= self.tokenizer.max_report

    @property
    def knowledge(self) -> tuple[str, ...]:
        """The texts of the nodes that evidence can cite; none in a variant without knowledge prompts."""
        return tuple(self.graph.texts) if isinstance(self.model.knowledge, KnowledgePrompts) else ()

    def without_knowledge(self, nodes: Collection[str]) -> PromptedGrounder:
        """This grounder on the graph without the nodes of these texts (core.grounder.KnowledgeGrounder).

        The convolution runs on the smaller graph; the nearest of the nodes that are left become the prompts. Without
        any node left there is no knowledge prompt.
        """
        prompts, hidden = self.model.knowledge, set(nodes)
        kept = [place for place, text in enumerate(self.graph.texts) if text not in hidden]
        if not isinstance(prompts, KnowledgePrompts) or len(kept) == len(self.graph.texts):
            return self
        if not kept:
            return self._with(NoKnowledge(), self.graph)
        graph = self.graph.only(kept)
        return self._with(prompts.only(kept, adjacency_of(graph, self.config.variant, self.graph)), graph)

    def _with(self, prompts: torch.nn.Module, graph: KnowledgeGraph) -> PromptedGrounder:
        model = self.model.with_knowledge(prompts)
        return self._like(model, graph, mapped=self.mapped)

    @property
    def maps(self) -> tuple[MapKind, ...]:
        """The maps that its evidence can hold."""
        return map_kinds(self.config.variant)

    def with_maps(self) -> PromptedGrounder:
        """This grounder with maps in its evidence (core.grounder.MapGrounder)."""
        if self.mapped:
            return self
        return self._like(self.model.with_attention(), self.graph, mapped=True)

    def _like(self, model: PromptedModel, graph: KnowledgeGraph, *, mapped: bool) -> PromptedGrounder:
        return PromptedGrounder(
            model,
            self.config,
            self.tokenizer,
            graph,
            self.name,
            mapped=mapped,
            backbone=self.backbone,
            limits=self.limits,
        )

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def _encode(self, studies: Sequence[Study]) -> tuple[_Seen, list[Frame]]:
        """Every image once, however many of the studies ask about it."""
        places: dict[int, int] = {}
        rows = [places.setdefault(id(study.image), len(places)) for study in studies]
        images = [studies[rows.index(place)] for place in range(len(places))]
        ready = [canvas_of(study, self.config.image_encoder.canvas) for study in images]
        canvases = np.stack([canvas for canvas, _ in ready])
        self.model.eval()
        features = self.model.encode(torch.from_numpy(canvases).unsqueeze(1).to(self.device))
        tokens = self.look(canvases)
        read = features if tokens is None else tokens
        if len(images) < len(studies):
            features, read = features[rows], read[rows]
        return _Seen(features, read, len(images) == 1 < len(studies)), [ready[row][1] for row in rows]

    def look(self, canvases: NDArray[np.float32]) -> Tensor | None:
        """Image tokens ``[B, N, C]`` of canvases ``[B, S, S]``, of a language model with its own vision tower."""
        return None if self.backbone is None else self.backbone.look(canvases)

    @torch.inference_mode()
    def _generate(self, studies: Sequence[Study], seen: _Seen) -> list[_Answer]:
        prompts = [self.tokenizer.prompt(study.report) for study in studies]
        end, most = self.tokenizer.end, self.limits.max_new_tokens
        if seen.shared and self.backbone is not None:  # what the prompts begin with, the image above all, is read once
            generated = self.backbone.vlm.generate_shared(prompts, seen.tokens[:1], stop_id=end, max_new_tokens=most)
        else:
            ids, mask = left_padded(prompts, self.tokenizer.pad)
            generated = self.model.vlm.generate(
                ids.to(self.device), mask.to(self.device), seen.tokens, stop_id=end, max_new_tokens=most
            )
        rows = zip(generated.ids.tolist(), generated.states, strict=True)
        end = self.tokenizer.end  # what follows it fills up the batch
        return [
            _Answer(self.tokenizer.read_answer(row), states[: row.index(end) + 1 if end in row else None])
            for row, states in rows
        ]

    @torch.inference_mode()
    def _read_forced(
        self, studies: Sequence[Study], features: Tensor, queries: Sequence[Sequence[Query]]
    ) -> list[_Answer]:
        """The states that emit ``<BOX>`` in a given answer; where a phrase may have more boxes, the model is asked."""
        counts = [[1 if query.boxes is None else query.boxes for query in row] for row in queries]
        prompts = [self.tokenizer.prompt(study.report) for study in studies]
        while True:
            texts = [[query.phrase.text for query in row] for row in queries]
            written = [
                self.tokenizer.write_answer(list(zip(text, count, strict=True)))
                for text, count in zip(texts, counts, strict=True)
            ]
            ids = right_padded([[*p, *a] for p, a in zip(prompts, written, strict=True)], self.tokenizer.pad)
            states = self.model.vlm(ids.to(self.device), None, features)
            answers = []
            grew = False
            for row, (prompt, answer) in enumerate(zip(prompts, written, strict=True)):
                # position m of the answer is emitted by the state one before it
                emitting = states[row, len(prompt) - 1 : len(prompt) - 1 + len(answer)]
                phrases = self._forced_phrases(answer, texts[row], counts[row])
                answers.append(_Answer(phrases, emitting))
                for index, (query, phrase) in enumerate(zip(queries[row], phrases, strict=True)):
                    if query.boxes is None and counts[row][index] < MAX_BOXES:
                        following = self.model.vlm.logits(emitting[phrase.boxes[-1] + 1]).argmax()
                        if int(following) == self.tokenizer.box:
                            counts[row][index] += 1
                            grew = True
            if not grew:
                return answers

    def _forced_phrases(self, answer: Sequence[int], texts: Sequence[str], counts: Sequence[int]) -> list[AnswerPhrase]:
        positions = iter([index for index, token in enumerate(answer) if token == self.tokenizer.box])
        return [
            AnswerPhrase(text, tuple(next(positions) for _ in range(count)))
            for text, count in zip(texts, counts, strict=True)
        ]

    @torch.inference_mode()
    def _groundings(
        self,
        studies: Sequence[Study],
        frames: Sequence[Frame],
        features: Tensor,
        answers: Sequence[_Answer],
        given: Sequence[Sequence[Phrase]] | None,
    ) -> list[Grounding]:
        """Place every ``<BOX>`` of a batch at once and write the results."""
        states = [a.states[list(p.boxes)] for a in answers for p in a.phrases]
        rows = [row for row, a in enumerate(answers) for p in a.phrases for _ in p.boxes]
        placed = None
        if states:
            means = torch.stack([answers[row].mean for row in rows])
            placed = self.model.place(torch.cat(states), means, features, torch.tensor(rows, device=features.device))
        results, offset = [], 0
        for row, (study, frame, answer) in enumerate(zip(studies, frames, answers, strict=True)):
            phrases = given[row] if given is not None else self._named(study.report, answer)
            grounded = []
            for phrase, words in zip(phrases, answer.phrases, strict=True):
                assert placed is not None
                index = list(range(offset, offset + len(words.boxes)))
                offset += len(index)
                grounded.append(self._grounded(phrase, placed, index, frame))
            results.append(
                Grounding(
                    image_size=study.image.size,
                    phrases=tuple(grounded),
                    model=self.name,
                    versions=software_versions(),
                    warnings=study.image.warnings,
                    study=study.id,
                )
            )
        return results

    @staticmethod
    def _named(report: str, answer: _Answer) -> list[Phrase]:
        """The model's phrases with their spans in the report, in the report's own letters where they are found."""
        spans = find_spans(report, [phrase.text for phrase in answer.phrases])
        return [
            Phrase(text=report[span[0] : span[1]] if span else phrase.text, span=span)
            for phrase, span in zip(answer.phrases, spans, strict=True)
        ]

    def _grounded(self, phrase: Phrase, placed: Placed, index: list[int], frame: Frame) -> GroundedPhrase:
        decoded = placed.decoded
        boxes = frame.from_unit(decoded.boxes.xyxy[index].double().cpu().numpy())
        scores = box_scores(decoded.boxes, self.config.variant.score)[index].tolist()
        order = sorted(range(len(index)), key=lambda place: boxes[place, 0])
        regions = (Region(xyxy=_box(boxes[place].tolist()), score=scores[place]) for place in order)
        evidence = self._evidence(placed, index, frame, [index[place] for place in order])
        return GroundedPhrase(**phrase.model_dump(), boxes=tuple(regions), evidence=evidence)

    def _evidence(self, placed: Placed, index: list[int], frame: Frame, ordered: list[int]) -> Evidence:
        decoded, knowledge = placed.decoded, placed.knowledge
        first = index[0]
        nodes = tuple(
            KnowledgeNode(
                text=self.graph.texts[node],
                similarity=round(float(knowledge.similarity[first, node]), 4),
                neighbours=tuple(self.graph.texts[other] for other in self.graph.neighbours(node)[:8]),
            )
            for node in knowledge.nodes[first].tolist()
        )
        local: tuple[Box, ...] = ()
        extent: Box | None = None
        if decoded.local is not None:
            local = tuple(_box(row) for row in frame.from_unit(decoded.local[index].double().cpu().numpy()).tolist())
        if decoded.global_mask is not None:
            masks = decoded.global_mask[index]
            extent = _box(
                frame.from_unit(soft_extent(masks.amax(dim=0, keepdim=True)).double().cpu().numpy()).tolist()[0]
            )
        gate = None if decoded.gate is None else round(float(decoded.gate[first]), 4)
        maps = evidence_maps(decoded, index, frame) if self.mapped else ()
        spread = box_deviations(decoded.boxes, frame)
        deviations = () if spread is None else tuple(_box(row) for row in spread[ordered].tolist())
        return Evidence(
            knowledge=nodes, local_boxes=local, global_box=extent, gate=gate, box_deviations=deviations, maps=maps
        )

    # --- learning ------------------------------------------------------------------------------------------------

    def example(self, study: Study) -> Example:
        """A labelled study as tensors' raw material."""
        return make_example(study, self.tokenizer, self.config.image_encoder.canvas, self.graph.related)

    def collate(
        self, examples: Sequence[Example], features: Tensor | None = None, tokens: Tensor | None = None
    ) -> Batch:
        """Examples as one batch, with features and image tokens from a cache where given."""
        if tokens is None and self.backbone is not None and self.backbone.pictures is not None:
            tokens = self.look(np.stack([e.canvas for e in examples if e.canvas is not None]))
        return collate(examples, self.tokenizer, len(self.graph.texts), features, tokens)

    def losses(self, batch: Batch, objective: Objective | None = None, alike: bool = False) -> dict[str, Tensor]:
        """Named, unweighted loss terms of a batch (grounders/prompted/objective.py)."""
        return grounding_losses(self.model, batch, objective, alike)

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that training changes."""
        return self.model.trainable()


def _box(values: Sequence[float]) -> Box:
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2
