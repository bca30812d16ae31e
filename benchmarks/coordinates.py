"""How well boxes survive as text, how many answers parse, and what eight phrases on one image cost.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/coordinates.py --json out.json

``codec_boxes`` boxes in images of random sizes, shown through a random frame, are written and read back by every
codec in use; ``codec_worst_bins`` is the greatest error of any coordinate in bins, of boxes that are a bin long or
longer (``codec_worst_bins_floor`` for the published truncation, which is allowed a whole bin, and
``codec_worst_bins_far_edge`` where a family has no number for the far edge), ``codec_lost`` how many boxes did not
come back. ``valid_rate_*``: answers of models with random weights to ``phrases`` phrases that parse, held to the
grammar and free. ``eight_phrases_ratio``: processor time of eight phrases on one image over one's, on one core, of a
model of the real LLaVA class with random weights, sized so that the prefix counts (``prefix_tokens``);
``image_encoded`` and ``prefix_read`` count how often each was run for the eight.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils import logging

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec, Style
from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase, Radiograph, Study
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import CONVENTIONS
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.load import load_chat_model
from knowmvg.nn.backbones.backbone import Backbone

BOXES = 100_000
PHRASES = 24
REPEATS = 5
CODECS = [
    *dict.fromkeys(convention.codec for convention in CONVENTIONS.values()),
    PFMVG,
    BoxCodec(rounding="cell"),
    BoxCodec(style=Style.PLAIN, bins=None),
]


def codec_errors(count: int = BOXES) -> dict[str, float]:
    """Greatest errors in bins and lost boxes, over ``count`` boxes shared among the codecs, each through its text."""
    rng = np.random.default_rng(0)
    worst = {"nearest": 0.0, "floor": 0.0, "far_edge": 0.0}
    lost = done = 0
    while done < count:
        stored = tuple(int(side) for side in rng.integers(64, 4096, 2))
        canvas = tuple(int(side) for side in rng.integers(64, 1536, 2))
        frame = View(list(Fit)[done % 3], canvas).frame(stored)  # squash, letterbox, corner: the whole image is seen
        codec = CODECS[(done // 25) % len(CODECS)]
        boxes = draw(rng, codec, frame, 25)
        reading = codec.decode(codec.encode(boxes, frame, "effusion").text, frame)
        lost += len(boxes) - len(reading.boxes)
        done += len(boxes)
        if len(reading.boxes) != len(boxes):
            continue
        bins = np.tile(np.array(codec.grid.units(canvas)) / canvas * frame.scale, 2)
        errors = np.abs(np.array(reading.boxes) - boxes) * bins
        kind = "floor" if codec.rounding == "floor" else "far_edge" if codec.top is not None else "nearest"
        worst[kind] = max(worst[kind], float(errors.max()))
    return {
        "codec_boxes": done,
        "codec_lost": lost,
        "codec_worst_bins": round(worst["nearest"], 6),
        "codec_worst_bins_floor": round(worst["floor"], 6),
        "codec_worst_bins_far_edge": round(worst["far_edge"], 6),
    }


def draw(rng: np.random.Generator, codec: BoxCodec, frame: Frame, count: int) -> np.ndarray:
    """Boxes inside the image that are at least a bin long on the canvas, two for cells in pairs."""
    least = (2 if codec.style is Style.PATCH else 1) * np.array(frame.canvas) / codec.grid.units(frame.canvas)
    share = np.minimum(least / np.array(frame.scale) / frame.stored, 1.0)
    low = rng.uniform(0, 1, (count, 2)) * (1 - share)
    high = low + share + rng.uniform(0, 1, (count, 2)) * (1 - share - low)
    side = np.array(frame.stored)
    return np.concatenate([low * side, np.minimum(high * side, side)], axis=1)


def tiny_model(folder: Path, side: int, hidden: int) -> CoordinateGrounder:
    """A LLaVA of the real class with random weights, loaded by the path that a hub id takes."""
    from tests.backbones.tiny_families import LLAVA_TEMPLATE, llama_tokenizer

    tokenizer = llama_tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=side,
        patch_size=14,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=4,
        num_attention_heads=8, max_position_embeddings=1024, tie_word_embeddings=False,
    )  # fmt: skip
    image = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=image, tie_word_embeddings=False)
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side}).save_pretrained(
        folder
    )
    (folder / "chat_template.jinja").write_text(LLAVA_TEMPLATE, encoding="utf-8")
    made = load_chat_model(str(folder))
    task = made.config.model_copy(update={"codec": BoxCodec(), "least": 1, "most": 1})
    return CoordinateGrounder(made.speaker, task, "random")


def study(seed: int) -> Study:
    """An image of noise."""
    return Study(Radiograph(np.random.default_rng(seed).random((512, 420)).astype(np.float32)), "", f"s{seed}")


def queries(count: int) -> list[Query]:
    """Phrases of equal length."""
    return [Query(Phrase(text=f"small nodule number {number:02d}")) for number in range(count)]


def valid_rates(model: CoordinateGrounder, phrases: int = PHRASES) -> dict[str, float]:
    """Shares of answers that parse, held and free."""
    task = CoordinatesConfig.model_validate(model.config.model_dump() | {"least": 0, "most": 3})
    rates = {}
    for name, constrained in (("constrained", True), ("free", False)):
        asked = CoordinateGrounder(model.speaker, task, "random").with_options(constrained=constrained)
        answers = [answer for row in asked.answers([study(1)], [queries(phrases)]) for answer in row if answer]
        rates[f"valid_rate_{name}"] = sum(answer.valid and answer.whole for answer in answers) / len(answers)
    return {"phrases": phrases, **rates}


def eight_phrases(model: CoordinateGrounder) -> dict[str, float]:
    """Time of eight phrases over that of one, and how often image and prefix were read for the eight."""
    seconds: dict[int, list[float]] = {1: [], 8: []}
    for repeat in range(REPEATS + 1):
        for count in seconds:
            start = time.process_time()
            model.ground_phrases([study(repeat)], [queries(count)])
            if repeat:
                seconds[count].append(time.process_time() - start)
    one, eight = (statistics.median(seconds[count]) for count in (1, 8))
    looked, read = [], []
    look, plain = Backbone.look, Backbone.read
    Backbone.look = lambda self, shown: looked.append(1) or look(self, shown)  # type: ignore[method-assign]  # counted

    def counted(self, input_ids, *args, **more):
        read.append(tuple(input_ids.shape))
        return plain(self, input_ids, *args, **more)

    Backbone.read = counted  # type: ignore[method-assign]  # counted
    model.ground_phrases([study(99)], [queries(8)])
    Backbone.look, Backbone.read = look, plain  # type: ignore[method-assign]  # as it was
    prefixes = [shape for shape in read if shape[0] == 1]
    return {
        "eight_phrases_ratio": round(eight / one, 3),
        "one_phrase_seconds": round(one, 4),
        "eight_phrases_seconds": round(eight, 4),
        "prefix_tokens": prefixes[0][1],
        "image_encoded": len(looked),
        "prefix_read": len(prefixes),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    figures = codec_errors()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder), side=336, hidden=256)
        figures |= valid_rates(model) | eight_phrases(model)
    for name, value in figures.items():
        print(f"{name:28} {value:>12}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.json.with_name(arguments.json.name + ".part")
    result = {**figures, "processor": platform.machine(), "torch": torch.__version__}
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, arguments.json)


if __name__ == "__main__":
    main()
