"""The tables of a model card: figures by protocol and by subgroup, with intervals, as the evaluation left them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PROTOCOLS = {
    "teacher_forced": "The phrases are given, as in the papers of this lineage; only the boxes are scored.",
    "phrase_given": "The phrases are given, their numbers of boxes are not; a phrase without a box scores 0.",
    "generate": "The model names the phrases itself; one that it does not name scores 0.",
}
READ = "The report parser names the phrases, which the model does not do; one that is not named scores 0."


MAP_SCORES = ("cnr", "pointing", "auroc", "auprc", "miou_thr")


def figures(metrics: dict[str, Any], *, named: bool = True) -> str:
    """One table a protocol, the model's row first and its controls below; ``named``: the model names phrases itself."""
    explained = PROTOCOLS if named else PROTOCOLS | {"generate": READ}
    lines = [
        "## Figures",
        "",
        "acc@t is the share of phrases whose boxes reach an IoU of t or more (AP10, AP30 and AP50",
    ]
    lines += ["in the papers); in brackets the 95 % bootstrap interval over patients. The other rows are controls.", ""]
    for protocol, rows in metrics["protocols"].items():
        first = rows[0]["micro"]
        asked = f"{first['n_phrases']} phrases of {first['n_patients']} patients"
        thresholds = list(first["acc"])
        header = ["row", *(f"acc@{t}" for t in thresholds), "mIoU", "phrase F1", "false boxes"]
        lines += [f"### {protocol}", "", f"{explained.get(protocol, '')} {asked}.".strip(), ""]
        lines += [line(header), line(["---"] * len(header))]
        lines += [line(_cells(row, thresholds)) for row in rows] + [""]
    lines += [f"Note: {note}\n" for note in metrics.get("notes", [])]
    return "\n".join(lines)


def _cells(row: dict[str, Any], thresholds: list[str]) -> list[str]:
    found, naming = row["micro"], row.get("identification") or {}
    numbers = [*(found["acc"][t] for t in thresholds), found["miou"], naming.get("f1"), naming.get("false_box_rate")]
    return [str(row["row"]), *map(_estimate, numbers)]


def _estimate(number: dict[str, Any] | None) -> str:
    if number is None:
        return "-"
    low, high = number.get("low"), number.get("high")
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{number['value']:.3f}{interval}"


def map_figures(maps: Sequence[dict[str, Any]]) -> str:
    """One table a kind of map that the evaluation scored, the model's row first; nothing without any."""
    if not maps:
        return ""
    lines = ["## Maps", "", "How well its maps point at the reference boxes, the phrases given (docs/metrics.md).", ""]
    for found in maps:
        rows = found["rows"]
        asked = f"{rows[0]['n_phrases']} phrases of {rows[0]['n_patients']} patients"
        lines += [f"### {found['kind']}", "", f"{asked}.", "", line(["row", *MAP_SCORES])]
        lines += [line(["---"] * (1 + len(MAP_SCORES)))]
        lines += [line([row["row"], *(_estimate(row["scores"].get(name)) for name in MAP_SCORES)]) for row in rows]
        lines.append("")
    return "\n".join(lines)


def strata(metrics: dict[str, Any]) -> str:
    """Subgroups of the model's phrases in one table, in the first protocol that has them; nothing without any."""
    protocol, found = next(((name, rows) for name, rows in (metrics.get("strata") or {}).items() if rows), ("", []))
    if not found:
        return ""
    thresholds = list(found[0]["numbers"]["acc"])
    header = ["by", "subgroup", "phrases", "patients", *(f"acc@{t}" for t in thresholds), "mIoU"]
    lines = ["## Subgroups", "", f"Of the model, protocol {protocol}; a subgroup marked * has few patients.", ""]
    lines += [line(header), line(["---"] * len(header))]
    for part in found:
        numbers = part["numbers"]
        name = f"{part['name']}{' *' if part['too_small'] else ''}"
        cells = [part["family"], name, str(numbers["n_phrases"])]
        cells += [str(numbers["n_patients"]), *(_estimate(numbers["acc"][t]) for t in thresholds)]
        lines.append(line([*cells, _estimate(numbers["miou"])]))
    return "\n".join([*lines, ""])


def line(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
