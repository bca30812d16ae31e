"""Maps as files beside a result: what they hold, how they are named, and that none of another study stays behind."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import OutputError
from knowmvg.core.frames import Frame
from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.core.records import Evidence, GroundedPhrase, Grounding, Radiograph, Region
from knowmvg.inference import overlay, results
from knowmvg.inference.map_files import OPACITY, tint, with_map_files, written_before

SIZE = (90, 70)
KINDS = (MapKind.DRAWN, MapKind.ATTENTION, MapKind.FROZEN)
FRAME = Frame.letterbox(SIZE, (64, 64))


def phrase(text: str, kinds: tuple[MapKind, ...], level: float = 0.5) -> GroundedPhrase:
    maps = tuple(
        EvidenceMap(kind, np.full((8, 8), level, np.float32), FRAME, 0.02 if kind == "attention" else 1.0)
        for kind in kinds
    )
    return GroundedPhrase(text=text, boxes=(Region(xyxy=(10, 10, 50, 40), score=0.5),), evidence=Evidence(maps=maps))


def grounding() -> Grounding:
    bare = GroundedPhrase(text="no edema", reason="absent")
    other = phrase("two", (MapKind.ATTENTION,), 0.25)
    return Grounding(image_size=SIZE, model="m", phrases=(phrase("one", KINDS), bare, other))


def test_each_map_is_a_grey_picture_of_the_image_s_size_that_the_json_names():
    named, files = with_map_files(grounding())
    wanted = [
        "maps/phrase-1.png",
        "maps/phrase-1-attention.png",
        "maps/phrase-1-frozen.png",
        "maps/phrase-2-attention.png",
    ]
    assert list(files) == wanted
    for name, content in files.items():
        picture = Image.open(io.BytesIO(content))
        assert (picture.mode, picture.size) == ("L", SIZE)
        assert set(np.unique(np.asarray(picture))) == {64 if "phrase-2" in name else 128}
    told = [p["evidence"] for p in json.loads(named.to_json())["phrases"]]
    assert [[one["file"] for one in e["map_files"]] if e else None for e in told] == [wanted[:3], None, wanted[3:]]
    assert told[0]["map_files"][1] == {"kind": "attention", "file": wanted[1], "white": 0.02}
    assert all(not phrase.evidence.map_files for phrase in grounding().phrases if phrase.evidence)


def test_without_maps_nothing_is_named():
    plain = Grounding(image_size=SIZE, model="m", phrases=(phrase("one", ()),))
    assert with_map_files(plain) == (plain, {})


def test_the_layer_is_in_the_colour_of_the_phrase_and_only_where_the_map_is():
    cells = np.zeros((8, 8), np.float32)
    cells[:, :4] = 1
    one = phrase("one", ())
    shown = one.model_copy(update={"evidence": Evidence(maps=(EvidenceMap(MapKind.DRAWN, cells, FRAME),))})
    picture = Image.new("RGB", (180, 140), (100, 100, 100))
    painted = np.asarray(tint(picture, Grounding(image_size=SIZE, model="m", phrases=(shown,))))
    blue = np.array((86, 190, 255)) * OPACITY + 100 * (1 - OPACITY)
    np.testing.assert_allclose(painted[70, 10], blue, atol=1)
    np.testing.assert_allclose(painted[70, 170], 100, atol=1)
    assert np.array_equal(
        np.asarray(tint(picture, Grounding(image_size=SIZE, model="m", phrases=(one,)))), np.asarray(picture)
    )


def test_the_overlay_shows_maps_only_where_asked():
    image = Radiograph(np.full((70, 90), 0.3, np.float32))
    with_layer, plain = overlay.draw(image, grounding(), maps=True), overlay.draw(image, grounding())
    assert with_layer.size == plain.size
    assert not np.array_equal(np.asarray(with_layer), np.asarray(plain))
    bare = Grounding(image_size=SIZE, model="m", phrases=(phrase("one", ()),))
    assert np.array_equal(np.asarray(overlay.draw(image, bare, maps=True)), np.asarray(overlay.draw(image, bare)))


def test_maps_of_an_earlier_study_do_not_stay_behind(tmp_path):
    first = {"grounding.json": b"1", "maps/phrase-1.png": b"a", "maps/phrase-2.png": b"b", "overlay-maps.png": b"c"}
    results.write_together(tmp_path, first)
    (tmp_path / "maps" / "mine.png").write_bytes(b"kept")
    assert len(written_before(tmp_path)) == 3
    results.write_together(tmp_path, {"grounding.json": b"2", "maps/phrase-1.png": b"d"}, written_before(tmp_path))
    left = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"grounding.json": b"2", "maps/phrase-1.png": b"d", "maps/mine.png": b"kept"}


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, there):
    out = tmp_path / "out"
    if there:
        results.write_together(out, {"a.json": b"1", "maps/phrase-1.png": b"a"})
    before = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "_write", full)
    with pytest.raises(OutputError, match="No space"):
        results.write_together(out, {"a.json": b"2", "maps/phrase-1.png": b"b"}, written_before(out))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == before
