"""The synthetic release of the benchmark: in the importer's layout, the same for a seed, and looked up rightly."""

import importlib.util
import random
from pathlib import Path

from knowmvg.knowledge.umls.importer import import_release

PATH = Path(__file__).parents[2] / "benchmarks" / "umls.py"
SPEC = importlib.util.spec_from_file_location("benchmark_umls", PATH)
umls = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(umls)


def test_a_small_release_is_imported_and_looked_up(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        count = umls.write_release(tmp_path / name, 4000, seed=3)
    assert [path.read_bytes() for path in sorted((tmp_path / "one").iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "two").iterdir())
    ]
    done = import_release(tmp_path / "one", tmp_path / "umls.sqlite")
    assert done.rows == count
    assert sum(count.values()) == 4000
    figures = umls.lookups(tmp_path / "umls.sqlite", count["MRCONSO.RRF"], 3, random.Random(3))
    assert figures["lookups"] > 500
    assert figures["lookups_wrong"] == 0
    assert 0 < figures["lookup_processor_ms_p50"] < 5
