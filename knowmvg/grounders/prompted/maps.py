"""What the decoders computed for a phrase, as maps over its image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from knowmvg.core.frames import Frame
from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.grounders.prompted.variants import Variant
from knowmvg.nn.global_local_attention import Decoded


def map_kinds(variant: Variant) -> tuple[MapKind, ...]:
    """The maps that a variant's decoders have."""
    has = {
        MapKind.DRAWN: variant.decoder == "mask" or variant.head == "extent" or variant.draws_masks,
        MapKind.ATTENTION: variant.decoder == "box",
        MapKind.FROZEN: variant.attention == "global-local",
    }
    return tuple(kind for kind, there in has.items() if there)


def evidence_maps(decoded: Decoded, index: Sequence[int], frame: Frame) -> tuple[EvidenceMap, ...]:
    """The maps of the phrase whose boxes are the rows ``index``: of several boxes the highest, of weights the mean."""
    rows = list(index)
    found = []
    if decoded.boxes.mask is not None:
        found.append(_of(MapKind.DRAWN, decoded.boxes.mask[rows].sigmoid().amax(dim=0), frame))
    if decoded.boxes.attention is not None:
        weights = decoded.boxes.attention[rows].mean(dim=(0, 1))
        highest = weights.max()
        found.append(_of(MapKind.ATTENTION, weights / highest, frame, float(highest)))
    if decoded.global_mask is not None:
        found.append(_of(MapKind.FROZEN, decoded.global_mask[rows].sigmoid().amax(dim=0), frame))
    return tuple(found)


def _of(kind: MapKind, cells: Tensor, frame: Frame, white: float = 1.0) -> EvidenceMap:
    return EvidenceMap(kind, cells.float().clamp(0, 1).cpu().numpy(), frame, white)
