"""Maps lie where their frame says, and are no part of a result's JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from knowmvg.core.frames import Frame
from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.core.records import Evidence, GroundedPhrase, Grounding, MapFile, Region

SIZES = [(90, 70), (64, 64), (41, 130), (300, 200), (37, 513)]


def spot(frame: Frame, cell: tuple[int, int], grid: int = 16) -> EvidenceMap:
    cells = np.zeros((grid, grid), dtype=np.float32)
    cells[cell] = 1
    return EvidenceMap(MapKind.DRAWN, cells, frame)


@pytest.mark.parametrize("size", SIZES[:-1])  # the last one is thinner than the spot
@pytest.mark.parametrize("aspect", [1.0, 1.7])
def test_a_cell_lies_where_the_frame_puts_it(size, aspect):
    frame = Frame.letterbox(size, (64, 64), aspect)
    centre = frame.to_canvas([[size[0] * 0.4, size[1] * 0.6, size[0] * 0.4, size[1] * 0.6]])[0, :2]
    cell = int(centre[1] // 4), int(centre[0] // 4)
    drawn = spot(frame, cell).on_image()
    assert drawn.shape == (size[1], size[0])
    assert drawn.dtype == np.float32
    wanted = frame.to_stored([[4 * cell[1], 4 * cell[0], 4 * cell[1] + 4, 4 * cell[0] + 4]])[0]
    rows, columns = np.indices(drawn.shape)
    found = (columns + 0.5).flatten() @ drawn.flatten(), (rows + 0.5).flatten() @ drawn.flatten()
    np.testing.assert_allclose(
        np.array(found) / drawn.sum(), [(wanted[0] + wanted[2]) / 2, (wanted[1] + wanted[3]) / 2], atol=1.0
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_padding_of_a_letterbox_is_no_part_of_the_image(size):
    frame = Frame.letterbox(size, (64, 64))
    inside = frame.on((16, 16)).render(np.ones((size[1], size[0]), dtype=np.float32))
    cells = np.where(inside > 0, 0.25, 1.0).astype(np.float32)  # loud where nothing was seen
    half = [slice(size[1] // 4, -size[1] // 4), slice(size[0] // 4, -size[0] // 4)]
    np.testing.assert_allclose(EvidenceMap(MapKind.DRAWN, cells, frame).on_image()[tuple(half)], 0.25, atol=1e-6)


def test_a_constant_map_is_constant():
    for size in SIZES:
        cells = np.full((8, 8), 0.3, dtype=np.float32)
        drawn = EvidenceMap(MapKind.ATTENTION, cells, Frame.letterbox(size, (64, 64)), 0.1).on_image()
        np.testing.assert_allclose(drawn, 0.3, atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "white"),
    [
        (np.zeros((2, 2)), 1.0),
        (np.zeros((2, 2, 2), dtype=np.float32), 1.0),
        (np.zeros((0, 2), dtype=np.float32), 1.0),
        (np.full((2, 2), 1.5, dtype=np.float32), 1.0),
        (np.full((2, 2), -0.5, dtype=np.float32), 1.0),
        (np.full((2, 2), np.nan, dtype=np.float32), 1.0),
        (np.zeros((2, 2), dtype=np.float32), 0.0),
        (np.zeros((2, 2), dtype=np.float32), float("nan")),
    ],
)
def test_other_arrays_are_refused(cells, white):
    with pytest.raises(ValueError, match="expected"):
        EvidenceMap(MapKind.DRAWN, cells, Frame.letterbox((5, 5), (8, 8)), white)


def test_maps_stay_out_of_the_json_and_their_files_are_in_it():
    drawn = spot(Frame.letterbox((90, 70), (64, 64)), (3, 4))
    named = (MapFile(kind=MapKind.DRAWN, file="maps/phrase-1.png", white=1.0),)
    evidence = Evidence(maps=(drawn,), map_files=named)
    phrase = GroundedPhrase(text="x", boxes=(Region(xyxy=(1, 2, 3, 4), score=0.5),), evidence=evidence)
    grounding = Grounding(image_size=(90, 70), model="m", phrases=(phrase,))
    values = json.loads(grounding.to_json())["phrases"][0]["evidence"]
    assert "maps" not in values
    assert values["map_files"] == [{"kind": "drawn", "file": "maps/phrase-1.png", "white": 1.0}]
    read = Grounding.model_validate_json(grounding.to_json())
    assert read.phrases[0].evidence == evidence.model_copy(update={"maps": ()})
    assert grounding.phrases[0].evidence.maps[0] is drawn
    assert "cells" not in repr(grounding)


def test_results_are_equal_where_their_maps_are():
    frame = Frame.letterbox((90, 70), (64, 64))
    assert Evidence(maps=(spot(frame, (3, 4)),)) == Evidence(maps=(spot(frame, (3, 4)),))
    assert Evidence(maps=(spot(frame, (3, 4)),)) != Evidence(maps=(spot(frame, (3, 5)),))
