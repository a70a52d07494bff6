"""Where the time goes, as kept in a file.

`profile.json` (schema 1)::

    {"schema": 1,
     "runs": {label, such as "before" and "after": {
       "command", "made", "machine", "versions", "settings",
       "methods": {method: {
         "total_ms": median of a request,
         "parts_ms": {part: median, see `profile.PARTS`}}}}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.speed.results import ResultsError

SCHEMA = 1
FILE = "profile.json"


def read(path: Path) -> dict[str, Any]:
    """Return the file's content; an empty one where there is none.

    Raises:
        ResultsError: it is not of this schema.
    """
    if not path.exists():
        return {"schema": SCHEMA, "runs": {}}
    try:
        found = json.loads(path.read_text("utf-8"))
        known = found["schema"] == SCHEMA and isinstance(found["runs"], dict)
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: not a profile of this command") from error
    if not known:
        raise ResultsError(f"{path}: has another schema than {SCHEMA}")
    return dict(found)


def keep(path: Path, label: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """Put a run into the file under its label, beside the others; return all.

    Raises:
        ResultsError: the file holds something else.
    """
    whole = read(path)
    whole["runs"][label] = dict(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return whole
