"""Label Studio: tasks with predictions to be reviewed, and the labelling configuration that shows them.

https://labelstud.io/guide/predictions and /guide/task_format: ``x``, ``y``, ``width`` and ``height`` of a rectangle are
percentages of the image, whatever its size. ``data.image`` must be a place from which the server can load the image:
``images`` is put before the file's path (``/data/local-files/?d=FOLDER`` for a local store).
"""

from __future__ import annotations

import json
from xml.sax.saxutils import quoteattr

from knowmvg.core.boxes import xyxy_to_xywh
from knowmvg.core.boxtext.reading import Box
from knowmvg.core.frames import Frame, Size
from knowmvg.sources.predictions.answers import Answer, Listing, Predictions

FROM, TO = "phrase", "image"


def write_label_studio(predictions: Predictions, listing: Listing, *, model: str, images: str = "") -> str:
    """A JSON list with a task a study; all answers about a study are one prediction of ``model``."""
    by_study: dict[str, list[Answer]] = {}
    for answer in predictions.answers:
        by_study.setdefault(answer.study, []).append(answer)
    tasks = []
    for study, answers in by_study.items():
        listed = listing.by_study[study]
        found = [(i.phrase or "box", box, score) for a in answers for i in a.items for box, score in i.scored()]
        result = [_region(f"r{n}", *one, listed.size) for n, one in enumerate(found)]
        scores = [score for _, _, score in found if score is not None]
        prediction = {"model_version": model, "result": result} | (
            {"score": sum(scores) / len(scores)} if scores else {}
        )
        data = {"image": f"{images.rstrip('/')}/{listed.file}" if images else listed.file, "study": study}
        tasks.append({"data": data, "predictions": [prediction]})
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def labelling_configuration(predictions: Predictions) -> str:
    """The XML to be pasted under Settings, Labeling Interface: a label for each phrase."""
    phrases = dict.fromkeys(i.phrase or "box" for a in predictions.answers for i in a.items if i.boxes)
    labels = "".join(f"    <Label value={quoteattr(phrase)}/>\n" for phrase in phrases)
    return (
        f'<View>\n  <Image name="{TO}" value="$image"/>\n'
        f'  <RectangleLabels name="{FROM}" toName="{TO}">\n{labels}  </RectangleLabels>\n</View>\n'
    )


def _region(name: str, phrase: str, box: Box, score: float | None, size: Size) -> dict[str, object]:
    percent = Frame.squash(size, (100, 100)).to_canvas([box])
    x, y, width, height = xyxy_to_xywh(percent)[0].tolist()
    return {
        "id": name,
        "type": "rectanglelabels",
        "from_name": FROM,
        "to_name": TO,
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [phrase]},
    } | ({} if score is None else {"score": score})
