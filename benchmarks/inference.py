"""What generation and KnowMVG's additions cost: ``python benchmarks/inference.py --json OUT``.

Models have the real classes and random weights (benchmarks/sized_models.py): LLaVA-1.5 and SAM, ``--size proportional``
(the default) in the proportions of the published ones, with 576 image tokens, ``--size full`` as large as they are. One
thread on a CPU, where seconds are those of the processor; on a GPU they are those of the clock. Medians, and the models
of a ratio take turns. No answer can be told by random weights, so that answers are given: as many tokens are written,
or read, as a study's answer has, and as many ``<BOX>`` tokens are placed.

* ``kv_cache_speedup``: 30 tokens behind image and report, by reading the whole again for each token, over the cached
  generation that the grounder uses. Both write the same tokens, or the script ends with an error.
* ``eight_phrases_over_one``: a study with eight given phrases over one with one: image, tower, prompt and answer read,
  all boxes placed.
* ``kps_gla_overhead``: a study with two phrases, as above, by KnowMVG over the same by the baseline. Writing the answer
  token by token costs both the same and is left out, which is the stricter figure.
* ``study_s``, ``written_study_s``: that study's seconds, and with its answer written (32 tokens), by variant.
* ``train_step_s``: a step of AdamW on LoRA, rows of ``<BOX>`` and decoders, on ``--batch`` studies with cached image
  features, with gradient checkpointing, by variant.
* ``*_peak_gib``: on a GPU, the greatest memory that was taken meanwhile; ``parameters`` in all, and of those trained.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from sized_models import BOX, IMAGE, SIZES, Size, build, build_backbone, build_sam  # benchmarks/sized_models.py
from torch import Tensor

from knowmvg.grounders.prompted.batch import MASK_SIDE, Batch
from knowmvg.grounders.prompted.model import Placed, PromptedModel
from knowmvg.grounders.prompted.objective import grounding_losses
from knowmvg.grounders.prompted.variants import baseline, knowmvg

REPORT, WORDS, END, NEVER = 96, 6, 2, -1  # tokens of a report, of a phrase; the end token; a stop nothing writes
WRITTEN, ANSWER = 30, 32
LOSSES = ("text", "box_l1", "box_giou", "local_l1", "local_giou", "mask_bce", "mask_dice", "knowledge")


class Bench:
    """The models of a size on a device, and a study to read with them."""

    def __init__(self, size: Size, device: torch.device, dtype: torch.dtype) -> None:
        self.size, self.device = size, device
        torch.manual_seed(0)
        self.backbone = build_backbone(size, device, dtype, checkpointing=True)
        sam = build_sam(size, device, dtype)
        self.models: dict[str, PromptedModel] = {
            "baseline": build(size, baseline(), self.backbone, sam),
            "knowmvg": build(size, knowmvg(mask_from="branch"), self.backbone, sam),
        }
        self.canvas = torch.rand(1, 1, size.canvas, size.canvas, device=device)
        self.picture = {"pixel_values": torch.randn(1, 3, size.picture, size.picture, device=device, dtype=dtype)}
        words = torch.randint(10, size.vocabulary, (REPORT,))
        self.prompt = [1, *[IMAGE] * size.image_length, *words.tolist()]

    def answer(self, phrases: int) -> list[int]:
        """Ids of an answer with one box a phrase."""
        words = torch.randint(10, self.size.vocabulary, (phrases, WORDS)).tolist()
        return [token for phrase in words for token in (*phrase, BOX)] + [END]

    def ids(self, *rows: list[int]) -> Tensor:
        """Rows of one length as ids on the device."""
        return torch.tensor(rows, device=self.device)

    # --- in use --------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def study(self, model: PromptedModel, phrases: int, write: bool = False) -> Placed:
        """Image encoded and looked at, prompt and answer read (or the answer written), every ``<BOX>`` placed."""
        features, tokens = model.encode(self.canvas), self.backbone.look(self.picture)
        answer, start = self.answer(phrases), len(self.prompt) - 1
        if write:
            states = self.written(tokens, ANSWER)[1][0]
            boxes = [WORDS, 2 * WORDS + 1][:phrases]
        else:
            states = self.backbone(self.ids([*self.prompt, *answer]), None, tokens)[0, start : start + len(answer)]
            boxes = [place for place, token in enumerate(answer) if token == BOX]
        means = states.mean(dim=0).expand(len(boxes), -1)
        rows = torch.zeros(len(boxes), dtype=torch.long, device=self.device)
        return model.place(states[boxes], means, features, rows)

    @torch.inference_mode()
    def written(self, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Ids and states of ``count`` written tokens, with cached keys and values."""
        ids = self.ids(self.prompt)
        made = self.backbone.generate(ids, torch.ones_like(ids), tokens, stop_id=NEVER, max_new_tokens=count)
        return made.ids, made.states

    @torch.inference_mode()
    def written_again(self, tokens: Tensor, count: int) -> Tensor:
        """Ids of ``count`` written tokens, all read anew for each."""
        ids = self.ids(self.prompt)
        for _ in range(count):
            states = self.backbone(ids, None, tokens)[:, -1]
            ids = torch.cat([ids, self.backbone.logits(states).argmax(dim=-1, keepdim=True)], dim=1)
        return ids[:, len(self.prompt) :]

    # --- in training ---------------------------------------------------------------------------------------------

    def batch(self, studies: int, phrases: int = 2) -> Batch:
        """Studies with cached features and image tokens, as the trainer has them."""
        size, start, answers = self.size, len(self.prompt) - 1, [self.answer(phrases) for _ in range(studies)]
        text = [(token, row, start + at) for row, answer in enumerate(answers) for at, token in enumerate(answer)]
        targets, rows, columns = torch.tensor(text, device=self.device).T
        box, grid, count = targets == BOX, size.canvas // 16, studies * phrases
        corners = torch.rand(count, 4, device=self.device).mul(0.5)
        drawn = {"device": self.device}
        return Batch(
            input_ids=self.ids(*[[*self.prompt, *answer] for answer in answers]),
            image=torch.randn(studies, size.channels, grid, grid, **drawn),
            cached=True,
            text_targets=targets,
            text_rows=rows,
            text_columns=columns,
            boxes=torch.cat([corners[:, :2], corners[:, :2] + 0.1 + corners[:, 2:] * 0.8], dim=1),
            box_rows=rows[box],
            box_columns=columns[box],
            masks=torch.rand(count, MASK_SIDE, MASK_SIDE, **drawn),
            has_mask=torch.ones(count, dtype=torch.bool, **drawn),
            related=torch.rand(count, size.nodes, **drawn) < 0.05,
            tokens=self.backbone.look(self.picture).expand(studies, -1, -1),
        )

    def training_step(self, model: PromptedModel, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
        """Forward, backward and update."""
        terms = grounding_losses(model, batch)
        loss = torch.stack([terms[name] for name in LOSSES if name in terms]).sum()
        if not bool(torch.isfinite(loss)):
            sys.exit("expected a finite loss, got another: the figure would mean nothing")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # --- seconds and memory --------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds: of the processor on a CPU, of the clock on a GPU."""
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def seconds(self, work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
        """Median seconds of each, taken in turn, after one that is not counted."""
        times: dict[str, list[float]] = {name: [] for name in work}
        for number in range(rounds + 1):
            for name, do in work.items():
                start = self.now()
                do()
                if number:
                    times[name].append(self.now() - start)
        return {name: median(taken) for name, taken in times.items()}

    def peak(self, work: Callable[[], Any]) -> float | None:
        """The greatest memory while it is done, in GiB; ``None`` on a CPU."""
        if self.device.type != "cuda":
            return None
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 2)


def generation(bench: Bench, rounds: int) -> dict[str, float]:
    """The speed of writing with and without cached keys and values."""
    tokens = bench.backbone.look(bench.picture)
    cached, again = bench.written(tokens, WRITTEN)[0], bench.written_again(tokens, WRITTEN)
    if bench.device.type != "cuda" and not torch.equal(cached, again):  # half precision may part ways at a near tie
        sys.exit("expected the same tokens with and without the cache, got others")
    work = {
        "cached": lambda: bench.written(tokens, WRITTEN),
        "again": lambda: bench.written_again(tokens, WRITTEN),
    }
    took = bench.seconds(work, rounds)
    return {"kv_cache_speedup": took["again"] / took["cached"], "written_30_s": took["cached"]}


def inference(bench: Bench, rounds: int) -> dict[str, Any]:
    """Studies by variant, and by number of phrases."""
    models = bench.models
    work = {f"read {name}": lambda m=model: bench.study(m, 2) for name, model in models.items()}
    work |= {f"write {name}": lambda m=model: bench.study(m, 2, write=True) for name, model in models.items()}
    work |= {f"{count} phrases": lambda n=count: bench.study(models["knowmvg"], n) for count in (1, 8)}
    took = bench.seconds(work, rounds)
    return {
        "eight_phrases_over_one": took["8 phrases"] / took["1 phrases"],
        "kps_gla_overhead": took["read knowmvg"] / took["read baseline"],
        "study_s": {name: took[f"read {name}"] for name in models},
        "written_study_s": {name: took[f"write {name}"] for name in models},
        "study_peak_gib": {name: bench.peak(work[f"write {name}"]) for name in models},
    }


def training(bench: Bench, rounds: int, studies: int) -> dict[str, Any]:
    """A step of each variant."""
    batch, took, peaks = bench.batch(studies), {}, {}
    for name, model in bench.models.items():
        optimizer = torch.optim.AdamW(model.trainable().values(), lr=1e-4)
        step = {name: lambda m=model, o=optimizer: bench.training_step(m, o, batch)}
        model.train()
        took |= bench.seconds(step, rounds)
        peaks[name] = bench.peak(step[name])
        model.eval()
        optimizer.zero_grad()
        del optimizer, step
    return {"train_batch": studies, "train_step_s": took, "train_peak_gib": peaks}


def measure(size: str, device: torch.device, rounds: int, studies: int) -> dict[str, Any]:
    """Every figure, rounded."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    start = time.monotonic()
    bench = Bench(SIZES[size], device, dtype)
    found: dict[str, Any] = {"size": size, "dtype": str(dtype).removeprefix("torch."), "rounds": rounds}
    found["parameters"] = sum(p.numel() for p in bench.models["knowmvg"].parameters())
    found["trained"] = {name: sum(p.numel() for p in m.trainable().values()) for name, m in bench.models.items()}
    found["built_s"] = time.monotonic() - start
    for part in (lambda: generation(bench, rounds), lambda: inference(bench, rounds)):
        found |= part()
        print(json.dumps(_rounded(found)), file=sys.stderr, flush=True)
    return _rounded(found | training(bench, rounds, studies))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--size", choices=sorted(SIZES), default="proportional")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1, help="studies a training step")
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(given.device)
    figures = measure(given.size, device, given.rounds, given.batch)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, one thread"
    about = {"machine": name, "torch": torch.__version__, "transformers": transformers.__version__}
    given.json.write_text(json.dumps(figures | about, indent=2) + "\n", encoding="utf-8")
    print(given.json.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
