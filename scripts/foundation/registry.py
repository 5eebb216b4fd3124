"""What keeps the scores honest: splits are written down before training, and every look at a test part is counted."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from neurodata.errors import LeakageError
from neurodata.predictions import write_whole
from neurodata.store.manifest import json_digest

from .rows import Fold

Digests = dict[str, dict[str, str]]
"""Row → fold → sha256 of its split."""


def digest_splits(folds: Iterable[Fold]) -> Digests:
    """Return the digest of every fold's split."""
    found: Digests = {}
    for fold in folds:
        found.setdefault(fold.row, {})[fold.name] = fold.split.digest
    return found


def check_splits(path: Path, digests: Digests) -> Digests:
    """Return the splits that were written down before, none where there is no file.

    Raises
    ------
    LeakageError
        If a fold that is known has another split now, or folds of a known row came or went; names them.
    """
    known: Digests = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    problems = []
    for row in sorted(set(known) & set(digests)):
        for fold in sorted(set(known[row]) | set(digests[row])):
            before, now = known[row].get(fold, "none"), digests[row].get(fold, "none")
            problems += [f"{row}/{fold}: {before[:12]} before, {now[:12]} now"] if before != now else []
    if problems:
        raise LeakageError(
            f"the splits are not those of {path.name}, so scores would not be comparable:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nfind out what changed; a new definition of folds needs a new folder and all cells again"
        )
    return known


def freeze_splits(path: Path, digests: Digests) -> None:
    """Write the splits down beside those of other rows; raises as `check_splits` does where others are known."""
    rows = check_splits(path, digests) | digests
    text = json.dumps({"sha256": json_digest(rows), "rows": rows}, indent=1, sort_keys=True) + "\n"
    write_whole(text.encode(), path)


class Ledger:
    """Every evaluation on a test part, one JSON line each, written before the test part is looked at.

    Parameters
    ----------
    path
        The file; several processes may write to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, row: str, fold: str, what: str) -> None:
        """Write down that something is about to be evaluated on a fold's test part."""
        line = json.dumps({"row": row, "fold": fold, "what": what, "time": round(time.time(), 1)}) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:  # one short write: lines of two processes do not mix
            file.write(line)

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how often each ``(row, what)`` was evaluated, folds together."""
        if not self.path.exists():
            return Counter()
        lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        return Counter((line["row"], line["what"]) for line in lines)
