"""Qwen2.5-VL: ``[{"bbox_2d": [x1, y1, x2, y2], "label": "..."}]`` in pixels of the image as the processor resized it.

Absolute pixels of the processor's output, whose sides are multiples of 28, and not of the file: said by the maintainers
in QwenLM/Qwen3-VL issues 676 ("the size after processer"), 721, 866 and 940, and shown in
cookbooks/spatial_understanding.ipynb. To take them for pixels of the file is the commonest error with this family; a
canvas of another size (``max_pixels`` set, an API that resizes) must be named.
"""

from __future__ import annotations

from knowmvg.core.boxtext.coordinates import PIXEL
from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_boxes import JsonBoxes
from knowmvg.core.boxtext.views import patch_multiple
from knowmvg.core.frames import Frame

QWEN25 = JsonBoxes("qwen2.5", "bbox_2d", lambda stored: Frame.squash(stored, patch_multiple(stored)), Grid(slack=PIXEL))
