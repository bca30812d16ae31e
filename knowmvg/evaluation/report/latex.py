"""Tables for papers: LaTeX with booktabs rules."""

from __future__ import annotations

import re

from knowmvg.evaluation.report.grid import Grid, Line

PACKAGES = ("booktabs", "amssymb", "graphicx")
WIDE = 6  # columns from which a table is fitted to the width of the text,
STACKED = 9  # and from which its intervals stand below their numbers

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "✓": r"\checkmark{}",
    "±": r"$\pm$",
}
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_INTERVAL = re.compile(r"^(\S+) \[([^\[\]]*)\](.*)$")


def latex(grid: Grid) -> str:
    """A ``table`` environment with caption, label and footnotes; its packages are named in a comment.

    Text is escaped; letters beyond Latin need XeLaTeX or LuaLaTeX.
    """
    numbers = len(grid.header) - grid.lead
    ours = 0 if grid.apart is None else len(grid.header) - grid.apart
    columns = "l" * grid.lead + "r" * (numbers - ours) + (r"@{\hskip 2em}" if ours else "") + "r" * ours
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *_heads(grid)]
    for block in grid.blocks:
        body.append(r"\midrule")
        if block.heading is not None:
            body.append(rf"\multicolumn{{{len(grid.header)}}}{{l}}{{\emph{{{escaped(block.heading)}}}}} \\")
            body.append(r"\addlinespace[1pt]")
        body += [_row(line, len(grid.header) >= STACKED) for line in block.lines]
    body += [r"\bottomrule", r"\end{tabular}"]
    if len(grid.header) >= WIDE:
        body = [r"\resizebox{\textwidth}{!}{%", *body[:-1], rf"{body[-1]}%", "}"]
    notes = [rf"\textsuperscript{{{mark}}} {escaped(text)}\par" for mark, text in grid.notes]
    if notes:
        notes = [r"\par\smallskip", r"{\footnotesize\raggedright", *notes, "}"]
    return "\n".join(
        [
            rf"% needs \usepackage{{{','.join(PACKAGES)}}}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escaped(grid.title)}}}",
            rf"\label{{tab:{grid.name}}}",
            *body,
            *notes,
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    r"""Text that LaTeX sets as it is; a leading ``[`` or ``*`` cannot be taken for an argument of ``\\``."""
    flat = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    out = "".join(_SPECIAL.get(letter, letter) for letter in _MINUS.sub("−", flat)).replace("−", "$-$")
    return f"{{{out[0]}}}{out[1:]}" if out[:1] in ("[", "*") else out


def _heads(grid: Grid) -> list[str]:
    head = " & ".join(escaped(name) for name in grid.header) + r" \\"
    if not grid.groups:
        return [head]
    cells, rules, start = [], [], 1
    for group in grid.groups:
        cells.append(rf"\multicolumn{{{group.width}}}{{c}}{{{escaped(group.name)}{_raised(group.marks)}}}")
        if group.name:
            rules.append(rf"\cmidrule(lr){{{start}-{start + group.width - 1}}}")
        start += group.width
    return [" & ".join(cells) + r" \\", "".join(rules), head]


def _row(line: Line, stacked: bool) -> str:
    """A line of cells; intervals in small letters, below their numbers where they are ``stacked``."""
    first, *rest = (escaped(cell) for cell in line.cells)
    pattern = (
        r"\\begin{tabular}[t]{@{}r@{}}\1\\\\{\\scriptsize [\2]\3}\\end{tabular}"
        if stacked
        else r"\1 {\\scriptsize [\2]\3}"
    )
    small = [_INTERVAL.sub(pattern, cell) for cell in rest]
    return " & ".join([first + _raised(line.marks), *("--" if cell == "-" else cell for cell in small)]) + r" \\"


def _raised(marks: tuple[str, ...]) -> str:
    return rf"\textsuperscript{{{','.join(marks)}}}" if marks else ""
