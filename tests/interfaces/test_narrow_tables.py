"""Tables of a result are whole at any width."""

import io

import pytest
from rich.console import Console

from knowmvg.interfaces.cli.narrow_tables import show_markdown

TEXT = """# Title

Words before.

| row | acc@0.5 | mIoU | minus first row | phrases |
| --- | --- | --- | --- | --- |
| *nearest training phrase* | 0.828 [0.811, 0.844] | 0.709 [0.696, 0.721] | -0.450 [-0.470, -0.430], p = 0.001 | 2023 |
| `demo` | 0.5 | 0.4 | - | 12 |

Words after.
"""


def shown(width: int, text: str = TEXT) -> str:
    stream = io.StringIO()
    show_markdown(text, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [50, 80, 200])
def test_no_cell_is_cut_off(width: int) -> None:
    text = shown(width)
    assert "…" not in text
    for part in ("acc@0.5", "[0.811, 0.844]", "[0.696, 0.721]", "minus first row", "p = 0.001", "2023", "Words after."):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_the_first_column_stands_in_every_piece() -> None:
    assert shown(50).count("nearest training phrase") > 1
    assert shown(200).count("nearest training phrase") == 1


def test_text_without_a_table_is_markdown() -> None:
    assert "Only words." in shown(80, "**Only words.**")


def test_what_is_escaped_is_shown_as_it_is() -> None:
    text = shown(80, "| a \\[b\\] | \\*c\\_d |\n| --- | --- |\n| \\<e | 2 |\n")
    assert "a [b]" in text
    assert "*c_d" in text
    assert "<e" in text
    assert "\\" not in text


def test_a_bar_in_a_cell_is_no_border() -> None:
    assert "a|b" in shown(80, "| x | y |\n| --- | --- |\n| a\\|b | 2 |\n")
