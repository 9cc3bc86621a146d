"""The metrics in git: the last commit's beside those of now."""

import json
from pathlib import Path
from typing import Any

from flows import git
from stages.petseg import tables

METRICS = Path("reports/metrics.json")


def compared() -> list[dict[str, Any]]:
    """Return each metric: at the last commit (empty if it was not there), now, and the difference."""
    committed = git.or_empty("show", f"HEAD:./{METRICS}")
    before = json.loads(committed) if committed else {}
    rows = []
    for name, now in tables.read_json(METRICS).items():
        old = before.get(name)
        measured = type(now) in (int, float) and type(old) in (int, float)  # a bool is not
        rows.append(
            {
                "metric": name,
                "last commit": "" if old is None else old,
                "now": now,
                "difference": f"{now - old:+.4f}" if measured else "",
            }
        )
    return rows
