"""MedGemma 1.5: ``Final Answer: [{"box_2d": [y1, x1, y2, x2], "label": "..."}]``, y first, in thousandths.

Format and prompt of Google's notebook ``cxr_anatomy_localization_with_hugging_face.ipynb`` (google-health/medgemma):
"[y0, x0, y1, x1] ... normalize the x and y coordinates the range [0, 1000]". The notebook pads the image to a square,
centred, before it asks; coordinates are of that square (896 pixels a side in the model). Reasoning comes before
``Final Answer:``, and thought, where it is switched on, ends with ``<unused95>``. The ``<loc>`` tokens that are said of
MedGemma here and there are PaliGemma's (see ``paligemma``).
"""

from __future__ import annotations

from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_boxes import JsonBoxes
from knowmvg.core.frames import Frame

MEDGEMMA = JsonBoxes("medgemma", "box_2d", lambda stored: Frame.letterbox(stored, (896, 896)), Grid(1000, order="yxyx"))
