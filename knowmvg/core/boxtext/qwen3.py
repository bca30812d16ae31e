"""Qwen3-VL, and Qwen2-VL before it: ``[{"bbox_2d": [x1, y1, x2, y2], "label": "..."}]`` in thousandths of the image.

QwenLM/Qwen3-VL issue 1486, answered by a maintainer: coordinates are ``round(x / width * 1000)``, 0 to 1000, of the
whole image whatever it is resized to (``convert_to_qwen2vl_format`` in qwen-vl-finetune/tools/process_bbox.ipynb).
Qwen2.5-VL is different (see ``qwen25``).
"""

from __future__ import annotations

from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_boxes import JsonBoxes
from knowmvg.core.frames import Frame

QWEN3 = JsonBoxes("qwen3", "bbox_2d", lambda stored: Frame.squash(stored, stored), Grid(1000))
