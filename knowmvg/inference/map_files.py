"""The maps of a result as files: a grey PNG a phrase and kind, named in the JSON, and one picture of them all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.core.records import GroundedPhrase, Grounding, MapFile
from knowmvg.inference.drawing import colour, numbered

FOLDER, OVERLAY = "maps", "overlay-maps.png"
OPACITY = 0.6
# the first that a phrase has is laid over the radiograph
SHOWN = (MapKind.DRAWN, MapKind.HEAT, MapKind.FROZEN, MapKind.ATTENTION)


def with_map_files(grounding: Grounding) -> tuple[Grounding, dict[str, bytes]]:
    """The grounding with its maps named (``Evidence.map_files``), and the files by their names.

    ``maps/phrase-N.png`` is what the decoder drew for phrase ``N`` of the overlay, ``maps/phrase-N-KIND.png`` a map of
    another kind; 8 bits, of the stored image's size.
    """
    files: dict[str, bytes] = {}
    renamed: dict[int, GroundedPhrase] = {}
    for number, phrase in numbered(grounding):
        if phrase.evidence is None:
            continue
        named = []
        for one in phrase.evidence.maps:
            ending = "" if one.kind is MapKind.DRAWN else f"-{one.kind}"
            name = f"{FOLDER}/phrase-{number}{ending}.png"
            files[name] = _png(one)
            named.append(MapFile(kind=one.kind, file=name, white=one.white))
        evidence = phrase.evidence.model_copy(update={"map_files": tuple(named)})
        renamed[id(phrase)] = phrase.model_copy(update={"evidence": evidence})
    phrases = tuple(renamed.get(id(phrase), phrase) for phrase in grounding.phrases)
    return grounding.model_copy(update={"phrases": phrases}), files


def written_before(folder: Path) -> list[Path]:
    """The files of maps that an earlier result left in ``folder``."""
    return [*sorted((folder / FOLDER).glob("phrase-*.png")), *folder.glob(OVERLAY)]


def tint(picture: Image.Image, grounding: Grounding) -> Image.Image:
    """The picture of the radiograph under a translucent layer of each phrase's map, in the colour of its boxes."""
    painted = np.asarray(picture, dtype=np.float32)
    for number, phrase in numbered(grounding):
        found = {one.kind: one for one in (phrase.evidence.maps if phrase.evidence else ())}
        shown = next((found[kind] for kind in SHOWN if kind in found), None)
        if shown is not None:
            layer = Image.fromarray(shown.on_image()).resize(picture.size, Image.Resampling.BILINEAR)
            share = np.clip(np.asarray(layer), 0, 1)[..., None] * OPACITY
            painted = painted * (1 - share) + np.array(colour(number), dtype=np.float32) * share
    return Image.fromarray(painted.round().astype(np.uint8))


def _png(one: EvidenceMap) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((one.on_image() * 255).round().astype(np.uint8)).save(stream, "PNG", compress_level=4)
    return stream.getvalue()
