"""Places given phrases with an exported model, without torch: ``onnx_without_torch.py FOLDER IMAGE REPORT PHRASE...``.

FOLDER is what ``knowmvg export RUN --onnx FOLDER`` wrote. Needs onnxruntime, tokenizers and the torch-free parts of
knowmvg (image readers, frames). Research software, not a medical device.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession

from knowmvg.grounders.canvas import on_canvas
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.sources.image import read_radiograph
from knowmvg.sources.report import read_report_file


def place(folder: Path, image: Path, report: str, phrases: list[str]) -> list[tuple[str, list[float], float]]:
    """Each phrase with one box, ``x1, y1, x2, y2`` in pixels of the stored image, and its score."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    parts = {
        name: InferenceSession(folder / part["file"], providers=["CPUExecutionProvider"])
        for name, part in about["parts"].items()
    }
    canvas, frame = on_canvas(read_radiograph(image), about["frame"]["canvas"])
    (features,) = parts["image_encoder"].run(None, {"canvas": canvas[None, None]})
    words = GroundingTokenizer.load(folder / about["tokens"]["file"], about["tokens"]["image_length"])
    prompt = words.prompt(report)
    answer = words.write_answer([(phrase, 1) for phrase in phrases])
    ids = np.array([[*prompt, *answer]])
    asked = {"input_ids": ids, "attention_mask": np.ones_like(ids), "features": features}
    read, _ = parts["language_model"].run(None, asked)
    emitting = read[0, len(prompt) - 1 : -1]  # the state at t emits token t + 1
    states = emitting[[index for index, token in enumerate(answer) if token == words.box]]
    answers = np.broadcast_to(emitting.mean(axis=0), states.shape)
    rows = np.zeros(len(states), dtype=np.int64)
    given = {"states": states, "answers": np.ascontiguousarray(answers), "features": features, "rows": rows}
    boxes, scores = parts["box_decoder"].run(["boxes", "scores"], given)
    stored = frame.from_unit(boxes.astype(np.float64))
    return [(phrase, box.tolist(), float(s)) for phrase, box, s in zip(phrases, stored, scores, strict=True)]


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    for phrase, box, score in place(
        Path(sys.argv[1]), Path(sys.argv[2]), read_report_file(Path(sys.argv[3])), sys.argv[4:]
    ):
        print(f"{phrase}: {[round(value) for value in box]}, score {score:.2f}")
