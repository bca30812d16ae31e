"""How fast a UMLS release is imported and looked up, measured on a synthetic one of invented words.

    python benchmarks/umls.py --json out.json                 10 million rows
    python benchmarks/umls.py --rows 300000 --json out.json

No content of UMLS is used: a seeded generator writes the four files in their exact layout, in about the shares of a
real release (a quarter names, two thirds relations), six of ten relations concerning place. The import runs in a
process of its own, whose peak of resident memory is measured; a second one is killed (SIGKILL) at a random moment,
taken up again, and its database compared with the first byte by byte. Lookups are timed after the first import over
random terms of the release with words in another order, plurals and other case, one in ten unknown; every answer is
checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from knowmvg.knowledge.umls.importer import import_release
from knowmvg.knowledge.umls.staging import Staging
from knowmvg.knowledge.umls.store import UmlsStore

SEED = 20
SHARES = {"MRCONSO.RRF": 0.25, "MRREL.RRF": 0.65, "MRSTY.RRF": 0.08, "MRDEF.RRF": 0.02}
LOOKUPS = 5000
SYLLABLES = ("ba", "do", "fen", "gu", "kri", "lom", "mi", "nar", "po", "quil", "ru", "sem", "ta", "vo", "wex", "zu")
SOURCES = ("SNOMEDCT_US", "FMA", "MSH", "NCI", "MTH", "INVENTED")
RELATIONS = (
    "has_finding_site",
    "finding_site_of",
    "isa",
    "inverse_isa",
    "part_of",
    "has_part",
    "",
    "",
    "uses",
    "used_by",
)
_WORKER = "--worker"


@cache
def vocabulary(seed: int) -> list[str]:
    """Twenty thousand invented words."""
    dice = random.Random(seed)
    return sorted({"".join(dice.choices(SYLLABLES, k=dice.randint(2, 4))) for _ in range(22_000)})[:20_000]


class Atom(NamedTuple):
    """A row of MRCONSO as it varies here."""

    concept: int
    term: str
    language: str
    suppress: str
    source: str

    @property
    def kept(self) -> bool:
        """Whether the import keeps it, by its defaults."""
        return self.language == "ENG" and self.suppress == "N"


def atoms(rows: int, seed: int) -> Iterator[Atom]:
    """The names of a release, four a concept; one in five in another language, one in twenty obsolete."""
    words, dice = vocabulary(seed), random.Random(seed + 1)
    for row in range(rows):
        term = " ".join(dice.choices(words, k=dice.randint(1, 5))).capitalize()
        language, suppress = "SPA" if dice.random() < 0.2 else "ENG", "O" if dice.random() < 0.05 else "N"
        yield Atom(row // 4 + 1, term, language, suppress, dice.choice(SOURCES))


def write_release(folder: Path, rows: int, seed: int) -> dict[str, int]:
    """A synthetic release of ``rows`` rows in all; returns the rows of each file."""
    count = {file: max(int(rows * share), 1) for file, share in SHARES.items()}
    concepts = max(count["MRCONSO.RRF"] // 4, 1)
    dice = random.Random(seed + 2)
    (folder / "release.dat").write_text("umls.release.name=2099AA\n", encoding="utf-8")
    with (folder / "MRCONSO.RRF").open("w", encoding="utf-8") as file:
        for row, atom in enumerate(atoms(count["MRCONSO.RRF"], seed)):
            kind, status = ("PT", "SY", "FN", "ET")[row % 4], "P" if row % 4 == 0 else "S"
            file.write(
                f"C{atom.concept:07d}|{atom.language}|{status}|L{row:07d}|PF|S{row:07d}|Y|A{row:08d}||||"
                f"{atom.source}|{kind}|{row}|{atom.term}|0|{atom.suppress}||\n"
            )
    with (folder / "MRREL.RRF").open("w", encoding="utf-8") as file:
        for row in range(count["MRREL.RRF"]):
            one, other = dice.randint(1, concepts), dice.randint(1, concepts)
            file.write(
                f"C{one:07d}|A{one:08d}|SCUI|RO|C{other:07d}|A{other:08d}|SCUI|{dice.choice(RELATIONS)}|R{row:08d}||"
                f"{dice.choice(SOURCES)}|{SOURCES[0]}|0|N|N||\n"
            )
    with (folder / "MRSTY.RRF").open("w", encoding="utf-8") as file:
        for row in range(count["MRSTY.RRF"]):
            tui = dice.choice(("T023", "T029", "T047", "T033"))
            file.write(f"C{row % concepts + 1:07d}|{tui}|A1.2|Invented Type|AT{row:08d}||\n")
    words = vocabulary(seed)
    with (folder / "MRDEF.RRF").open("w", encoding="utf-8") as file:
        for row in range(count["MRDEF.RRF"]):
            text = " ".join(dice.choices(words, k=30))
            file.write(f"C{dice.randint(1, concepts):07d}|A{row:08d}|AT{row:08d}||{dice.choice(SOURCES)}|{text}|N||\n")
    return count


def start_import(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """An import in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, _WORKER, str(folder), str(out)])


def finish(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Waits for an import; its peak of resident memory in MB and its processor seconds. Ends the script if it fails."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"the import ended with {process.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * scale / 1e6, usage.ru_utime + usage.ru_stime


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def killed_and_resumed(folder: Path, out: Path, seconds: float, dice: random.Random) -> dict[str, float]:
    """Kills an import somewhere on its way and runs it again; when it was killed, what it had saved, what was left."""
    process = start_import(folder, out)
    moment = dice.uniform(0.1, 0.8) * seconds
    try:
        process.wait(moment)
        sys.exit("the import ended before it was killed: give more rows")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    partial = out.with_name(f"{out.name}.partial")
    saved = 0
    if partial.exists():
        with Staging.opened(partial) as staging:
            saved = sum(place.rows for place in staging.places.values())
    begun = time.perf_counter()
    finish(start_import(folder, out))
    return {"killed_after_seconds": moment, "killed_at_rows": saved, "resumed_seconds": time.perf_counter() - begun}


def lookups(path: Path, rows: int, seed: int, dice: random.Random) -> dict[str, float]:
    """Percentiles in ms of looking up terms with their concepts' names and types, and how many answers were wrong."""
    step = max(rows // LOOKUPS, 1)
    picked = [atom for number, atom in enumerate(atoms(rows, seed)) if number % step == 0 and atom.kept]
    dice.shuffle(picked)
    times: list[tuple[float, float]] = []
    wrong = 0
    with UmlsStore(path) as store:
        for number, atom in enumerate(picked):
            known = number % 10 > 0
            words = [word + "S" * (word[-1] not in "IUS") for word in atom.term.upper().split()]
            dice.shuffle(words)
            asked = " ".join(words if known else [*words, "unknown"])
            begun, processor = time.perf_counter(), time.process_time()
            matches = store.lookup(asked)
            times.append((time.perf_counter() - begun, time.process_time() - processor))
            wrong += known != (f"C{atom.concept:07d}" in {match.cui for match in matches})
    figures: dict[str, float] = {"lookups": len(times), "lookups_wrong": wrong}
    for kind, column in (("lookup_ms", 0), ("lookup_processor_ms", 1)):
        ranked = sorted(pair[column] * 1000 for pair in times)
        figures |= {
            f"{kind}_p{share}": ranked[min(len(ranked) * share // 100, len(ranked) - 1)] for share in (50, 95, 99)
        }
    return figures


def measure(rows: int, seed: int, work: Path) -> dict[str, Any]:
    """All figures; ``work`` needs some 400 bytes a row."""
    dice = random.Random(seed + 3)
    folder = work / "META"
    folder.mkdir()
    begun = time.perf_counter()
    count = write_release(folder, rows, seed)
    writing = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in folder.iterdir())
    begun = time.perf_counter()
    peak, processor = finish(start_import(folder, work / "whole.sqlite"))
    seconds = time.perf_counter() - begun
    answers = lookups(work / "whole.sqlite", count["MRCONSO.RRF"], seed, dice)
    resumed = killed_and_resumed(folder, work / "resumed.sqlite", seconds, dice)
    with UmlsStore(work / "whole.sqlite") as store:
        kept = store.about["counts"]
    return {
        "rows": sum(count.values()),
        "rows_by_file": count,
        "release_mb": size / 1e6,
        "writing_seconds": writing,
        "import_seconds": seconds,
        "import_processor_seconds": processor,
        "import_rows_per_second": sum(count.values()) / seconds,
        "import_peak_mb": peak,
        "database_mb": (work / "whole.sqlite").stat().st_size / 1e6,
        "kept": kept,
        **resumed,
        "resumed_after_kill": digest(work / "whole.sqlite") == digest(work / "resumed.sqlite"),
        **answers,
        "seed": seed,
    }


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    if sys.argv[1:2] == [_WORKER]:
        import_release(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description="Measure the import of a synthetic UMLS release.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--work", type=Path, help="folder for the release and the databases; default a temporary one")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.work is not None:
        arguments.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="umls-", dir=arguments.work))
    try:
        result = measure(arguments.rows, arguments.seed, work)
    finally:
        shutil.rmtree(work)
    for name, value in result.items():
        print(f"{name:28}{value:.3f}" if isinstance(value, float) else f"{name:28}{value}")
    if arguments.json is not None:
        partial = arguments.json.with_name(arguments.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
