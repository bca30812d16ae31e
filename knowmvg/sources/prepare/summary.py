"""What a prepared data set holds, in tables: for the terminal and as ``summary.md``."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.core.records import DISCLAIMER
from knowmvg.sources.prepare.checksums import CHANGED, SUMS, UNLISTED
from knowmvg.sources.prepare.tally import Tally
from knowmvg.sources.prepared import PreparedNotes

Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
CREDENTIALED = (
    "Credentialed data: neither this folder nor anything made of its texts may be given to others or sent to a service "
    "(the data use agreement of the source)."
)
_TOTALS = ("studies", "images", "patients", "phrases", "boxes")


def split_name(split: str) -> str:
    """A split as tables show it."""
    return split or "(no split)"


def split_table(notes: PreparedNotes) -> Table:
    """Studies, images, patients, phrases and boxes by split."""
    rows = [(split_name(split), *(f"{counts[name]:,}" for name in _TOTALS)) for split, counts in notes.counts.items()]
    return ("split", *_TOTALS), rows


def finding_table(notes: PreparedNotes, tally: Tally) -> Table:
    """Phrases and boxes of each finding by split, and the median share of the image's area that a box takes."""
    splits = list(notes.counts)
    header = ("finding (phrases / boxes)", *map(split_name, splits), "all boxes", "median area")
    order = sorted(tally.findings.items(), key=lambda pair: (-pair[1].boxes.total(), pair[0]))
    rows = []
    for name, found in order:
        size = found.median_size()
        cells = [f"{found.phrases[split]:,} / {found.boxes[split]:,}" for split in splits]
        rows.append((name, *cells, f"{found.boxes.total():,}", "" if size is None else f"{100 * size**2:.1f} %"))
    return header, rows


def fault_table(notes: PreparedNotes) -> Table:
    """Rows mended and rows left out by kind of fault."""
    rows = [(kind, f"{n['mended']:,}", f"{n['left_out']:,}") for kind, n in notes.faults.items()]
    return ("fault", "mended", "left out"), rows


def remarks(notes: PreparedNotes) -> list[str]:
    """What a user of the data set must know, a sentence each."""
    found = list(notes.notes)
    if notes.credentialed:
        found.append(CREDENTIALED)
    if "" in notes.counts:
        found.append("Studies without split: training and evaluation need train, val and test.")
    changed = [f"{file}: {state}" for file, state in notes.checksums.items() if state in (CHANGED, UNLISTED)]
    if changed:
        found.append(f"Annotation files that are not those of {SUMS}: {'; '.join(changed)}.")
    return found


def to_markdown(notes: PreparedNotes, tally: Tally) -> str:
    """The page of a data set: origin, counts, findings, faults, remarks."""
    blocks = [
        f"# {notes.name} {notes.version}",
        f"Prepared by knowmvg {notes.knowmvg} from {notes.source}. Licence: {notes.licence}. {DISCLAIMER}",
        "\n".join(f"* {remark}" for remark in remarks(notes)),
        _markdown(split_table(notes)),
        _markdown(finding_table(notes, tally)),
        "![findings, sizes and places of the boxes](summary.png)",
    ]
    if notes.faults:
        blocks += ["Faults of the source (`faults.jsonl` names their rows):", _markdown(fault_table(notes))]
    made = "".join(f"; {name} {value}" for name, value in notes.made_with.items())
    blocks.append(
        f"Fingerprint of the manifest (SHA-256): `{notes.fingerprint}`; of the identifiers: `{notes.ids_sha256}`{made}."
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _markdown(table: Table) -> str:
    header, rows = table
    return "\n".join(_line(cells) for cells in (header, ["---", *["---:"] * (len(header) - 1)], *rows))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
