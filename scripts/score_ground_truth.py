"""What the encoder makes of recordings whose truth is known: masked prediction, names, sites, few labels, cost.

``python scripts/score_ground_truth.py OUTPUT [--quick] [--worms STORE] [--render]`` writes OUTPUT/PIECE.json after every part of a
piece, so that an interruption keeps the rest, then OUTPUT/tables.md and OUTPUT/foundation_ground_truth.png. Cost is not
measured again where OUTPUT/cost.json is there. ``--quick`` takes one seed and fewer steps. STORE holds
``kato_brain_2015``: worms 1 to 4 are learned from, worm 5 is left out. What came out, and what it means, is in
docs/results/foundation_ground_truth.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ground_truth.cohorts import KINDS, Cohort, make_cohort, open_worms, pretrain
from ground_truth.cost import score_cost
from ground_truth.few_shot import score_few_labels
from ground_truth.figure import draw
from ground_truth.masked import PRETRAINED, adapted, score_masked, score_names
from ground_truth.sites import score_sites
from ground_truth.tables import read_pieces, render, write_piece

LABELLED = ("worms", "spikes")
"""Simulated cohorts that have a behaviour to decode."""


@dataclass(frozen=True)
class Settings:
    """How much is computed.

    Parameters
    ----------
    seeds
        Of cohorts, networks and masks.
    steps, adapt_steps, label_steps, worm_steps
        Of pretraining, of getting to know a recording, of learning labels, and of pretraining on real worms.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 300
    adapt_steps: int = 60
    label_steps: int = 40
    worm_steps: int = 150


QUICK = Settings(seeds=(0,), steps=80, adapt_steps=30, label_steps=20, worm_steps=100)


@dataclass
class Ledger:
    """Writes each piece's rows as they come."""

    output: Path
    settings: Settings
    rows: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, piece: str) -> Iterator[None]:
        """Add the processor time of what is done to a piece's."""
        began = time.process_time()
        yield
        self.cpu_seconds[piece] = self.cpu_seconds.get(piece, 0.0) + time.process_time() - began

    def add(self, piece: str, table: pd.DataFrame) -> None:
        """Write the piece with the rows that it has now."""
        self.rows.setdefault(piece, []).append(table)
        joined = pd.concat(self.rows[piece], ignore_index=True)
        write_piece(self.output, piece, joined, dataclasses.asdict(self.settings), self.cpu_seconds.get(piece, 0.0))
        print(f"{piece}: {len(joined)} rows, {self.cpu_seconds.get(piece, 0.0):.0f} s of CPU", flush=True)


def score_seed(seed: int, ledger: Ledger, folder: Path, worms: Path | None) -> None:
    """Pretrain on each simulated cohort, and score what has been learned; real worms with the first seed only."""
    learned: dict[str, tuple[Cohort, Any]] = {}
    for name, kind in KINDS.items():
        with ledger.timing("pretrain"):
            cohort = make_cohort(dataclasses.replace(kind, steps=ledger.settings.steps), seed, folder)
            learned[name] = cohort, pretrain(cohort, seed)
        with ledger.timing("sites"):
            sites = score_sites(name, learned[name][1], seed)
        ledger.add("sites", sites)
        with ledger.timing("masked"):
            masked = score_masked(cohort, {PRETRAINED: learned[name][1]}, seed)
        ledger.add("masked", masked)
    score_unseen(*learned["worms"], seed, ledger)
    if worms and seed == ledger.settings.seeds[0]:
        score_real_worm(worms, ledger, folder)
    with ledger.timing("names"):
        named = score_names(*learned["worms"], seed)
    ledger.add("names", named)
    for name in LABELLED:
        with ledger.timing("few_labels"):
            few = score_few_labels(*learned[name], seed, ledger.settings.label_steps)
        ledger.add("few_labels", few)


def score_unseen(cohort: Cohort, task: Any, seed: int, ledger: Ledger) -> None:
    """Score recordings that were not learned from, after getting to know their first halves or not."""
    with ledger.timing("unseen"):
        networks = adapted(task, cohort.halves(), seed, ledger.settings.adapt_steps)
        unseen = score_masked(cohort, networks, seed)
    ledger.add("unseen", unseen)


def score_real_worm(store: Path, ledger: Ledger, folder: Path) -> None:
    """Pretrain on published worms, and score the one left out."""
    seed = ledger.settings.seeds[0]
    cohort = open_worms(store, ledger.settings.worm_steps, folder)
    with ledger.timing("unseen"):
        task = pretrain(cohort, seed)
    score_unseen(cohort, task, seed, ledger)


def score_all(ledger: Ledger, worms: Path | None) -> None:
    """Score all pieces."""
    if not (ledger.output / "cost.json").exists():
        with ledger.timing("cost"):
            cost = score_cost()
        ledger.add("cost", cost)
    with tempfile.TemporaryDirectory(prefix="neurodata-ground-truth-") as folder:
        for seed in ledger.settings.seeds:
            score_seed(seed, ledger, Path(folder), worms)


def main() -> None:
    """Score and render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worms", type=Path)
    parser.add_argument("--render", action="store_true", help="compute nothing, render what OUTPUT has")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if not given.render:
        score_all(Ledger(given.output, QUICK if given.quick else Settings()), given.worms)
    pieces = read_pieces(given.output)
    (given.output / "tables.md").write_text(render(pieces), encoding="utf-8")
    draw(pieces, given.output / "foundation_ground_truth.png")


if __name__ == "__main__":
    main()
