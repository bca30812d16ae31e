"""How the models of a row came about, from what their runs keep."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from knowmvg.core.errors import ModelError
from knowmvg.evaluation.leaderboard.entry import Origin
from knowmvg.interfaces.cli.board.rows import SeedRun
from knowmvg.training.run_folder import OF_A_SEED


def origin_of(run: SeedRun, model: str) -> Origin:
    """The origin of a run's model, whose fingerprint is ``model``; a model that was given may have no run.

    Raises ``ModelError`` for a damaged ``run.json``.
    """
    facts = facts_of(run)
    if not facts:
        return Origin(seed=run.seed, model=model)
    try:
        recipe = facts["recipe"]
        minutes = {stage: seconds / 60 for stage, seconds in facts["seconds"].items()}
        own = {stage: value for stage, value in minutes.items() if stage in OF_A_SEED}
        return Origin(
            seed=recipe["seed"],
            minutes=round(sum(own.values()), 2),
            minutes_in_all=round(sum(minutes.values()), 2),
            stages={stage: round(own[stage], 2) for stage in OF_A_SEED if stage in own},
            model=model,
            recipe=hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
            git=facts["git"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(run) from error


def facts_of(run: SeedRun) -> dict[str, Any]:
    """What ``run.json`` says, nothing where there is none. Raises ``ModelError`` for a damaged one."""
    path = run.model / "run.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(run) from error
    return found if isinstance(found, dict) else {}


def _damaged(run: SeedRun) -> ModelError:
    todo = "Train it again, or give its model folder with --run."
    return ModelError("a run.json that `knowmvg train` wrote", f"another content in {run.model}", todo)
