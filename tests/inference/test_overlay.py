from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.records import GroundedPhrase, Grounding, Radiograph, Region
from knowmvg.inference import overlay
from knowmvg.inference.drawing import PALETTE, Style
from knowmvg.inference.legend import _broken


def image(width: int, height: int, value: float = 0.5, aspect: float = 1.0) -> Radiograph:
    return Radiograph(np.full((height, width), value, dtype=np.float32), aspect)


def grounding(size: tuple[int, int], *phrases: GroundedPhrase) -> Grounding:
    return Grounding(image_size=size, phrases=phrases, model="fake")


def boxed(*boxes: tuple[float, float, float, float], text: str = "nodule") -> GroundedPhrase:
    return GroundedPhrase(text=text, boxes=tuple(Region(xyxy=box, score=0.7) for box in boxes))


def has_colour(picture: Image.Image, colour: tuple[int, int, int], region: tuple[int, int, int, int]) -> bool:
    return bool((np.asarray(picture.crop(region)) == colour).all(axis=2).any())


@pytest.mark.parametrize(("size", "longest"), [((64, 48), 960), ((1200, 900), 1200), ((4000, 3000), 1600)])
def test_the_radiograph_is_scaled_to_a_readable_size(size, longest):
    picture, scale = overlay._display(image(*size))
    assert max(picture.size) == longest
    assert scale[0] == pytest.approx(longest / size[0])


def test_oblong_pixels_are_shown_in_their_shape():
    picture, scale = overlay._display(image(400, 400, aspect=2.0))
    assert picture.height == pytest.approx(2 * picture.width, abs=1)
    assert scale[1] == pytest.approx(2 * scale[0], rel=0.01)


def test_a_box_is_drawn_where_it_lies_in_its_number_s_colour():
    picture = overlay.draw(image(1000, 1000), grounding((1000, 1000), boxed((100, 200, 300, 400))))
    assert has_colour(picture, PALETTE[0], (98, 250, 106, 350))
    assert has_colour(picture, PALETTE[0], (294, 250, 303, 350))
    inside = np.asarray(picture.crop((130, 240, 270, 370)))
    assert (inside == inside[0, 0]).all()


def test_each_phrase_has_its_colour_in_box_and_legend():
    phrases = [boxed((100, 200, 300, 400)), boxed((500, 600, 700, 800), text="edema")]
    picture = overlay.draw(image(1000, 1000), grounding((1000, 1000), *phrases))
    legend = (1000, 0, picture.width, picture.height)
    for number, region in ((0, (90, 190, 310, 410)), (1, (490, 590, 710, 810))):
        assert has_colour(picture, PALETTE[number], region)
        assert has_colour(picture, PALETTE[number], legend)


def test_boxes_at_the_edge_and_empty_boxes_can_be_drawn():
    overlay.draw(image(64, 64), grounding((64, 64), boxed((0, 0, 64, 64), (64, 64, 64, 64), (0, 0, 0, 0))))


def test_numbers_do_not_hide_each_other():
    one = overlay.draw(image(1000, 1000), grounding((1000, 1000), *[boxed((400, 400, 600, 600))] * 2))
    for number in (0, 1):
        assert has_colour(one, PALETTE[number], (380, 360, 620, 640))


def test_a_long_report_makes_the_legend_longer_and_nothing_is_lost():
    many = [boxed((10, 10, 20, 20), text=f"{'very ' * 30}long phrase {k}") for k in range(40)]
    picture = overlay.draw(image(100, 100), grounding((100, 100), *many))
    assert picture.height > 960
    assert has_colour(picture, PALETTE[39 % 8], (960, picture.height - 600, picture.width, picture.height))


def test_odd_text_is_drawn():
    phrase = GroundedPhrase(text="a" * 500 + "\n\t é 胸 \N{NO-BREAK SPACE} x", reason="none\nat all")
    overlay.draw(image(64, 64), grounding((64, 64), phrase))


def test_broken_lines_fit_and_keep_every_letter():
    font = Style(20).font()
    text = "There is a " + "w" * 80 + " and a small left pleural effusion"
    lines = list(_broken(text, font, 200))
    assert all(font.getlength(line) <= 200 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_png_is_a_picture_and_deterministic():
    study = image(64, 48), grounding((64, 48), boxed((1, 2, 30, 40)))
    content = overlay.png(*study)
    assert content == overlay.png(*study)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "RGB"


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match="size"):
        overlay.draw(image(64, 64), grounding((64, 48)))
