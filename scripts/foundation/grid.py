"""The cells of the grid: which predictor learns what from how many labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from .rows import ROWS, SHARES, Fold, Row

CLASSICAL, PUBLISHED = "classical", "gru_published"
"""All baselines of scikit-learn with chance; the published GRU recipe for hand velocity with its 1600 steps."""

SCRATCH = "scratch"
STRATEGIES = {SCRATCH: "full", "pretrained_head": "head", "pretrained_lora": "lora", "pretrained_full": "full"}
"""Predictor with the encoder → what of it is trained."""

LEARNING_RATES = {SCRATCH: 2e-3, "pretrained_head": 5e-3, "pretrained_lora": 3e-3, "pretrained_full": 2e-3}
"""The same for all rows, from the development stretches told of in docs/results/foundation.md; half of it beside a linear readout, which leaves little to learn."""

NETWORK_RATE = 3e-3
"""Of the GRU and EEGNet, as in docs/results/modalities.md."""

SEEDS = (0, 1, 2)
"""With all labels; with fewer labels the first alone."""

STEP_SHARES = {0.05: 0.4, 0.25: 0.6, 1.0: 1.0}
"""Share of the labels → share of the steps: few windows are learned sooner."""


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    Parameters
    ----------
    row, fold
        What is held out.
    predictor
        One of `STRATEGIES`, a network, `PUBLISHED`, or `CLASSICAL`.
    share, seed
        Of the labels; of the training.
    """

    row: str
    fold: str
    predictor: str
    share: float
    seed: int

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.row}--{self.fold}--{self.predictor}--{self.share:g}--{self.seed}"


def kind_of(cell: Cell) -> str:
    """Return ``classical``, ``encoder`` or, for what is trained beside it, ``networks``."""
    return CLASSICAL if cell.predictor == CLASSICAL else "encoder" if cell.predictor in STRATEGIES else "networks"


def steps_of(row: Row, share: float, scale: float) -> int:
    """Return the training steps of the encoder, and of the network beside it."""
    return max(4, round(row.steps * STEP_SHARES[share] * scale))


def list_cells(folds: Iterable[Fold], *, quick: bool) -> list[Cell]:
    """Return the cells in the order they are run: what needs no encoder first, then setting by setting of all folds.

    ``quick``: all labels, one seed, and two folds of each row only.
    """
    settings = (
        [(1.0, 0)]
        if quick
        else [(1.0, 0), *((share, 0) for share in SHARES[:-1]), *((1.0, seed) for seed in SEEDS[1:])]
    )
    chosen = list(_in_turn(folds, 2 if quick else None))
    beside, encoder = [], []
    for share, seed in settings:
        for fold in chosen:
            row = ROWS[fold.row]
            beside += [Cell(fold.row, fold.name, CLASSICAL, share, 0)] if seed == 0 else []
            beside += [Cell(fold.row, fold.name, row.network, share, seed)] if row.network else []
            published = row.network == "gru" and (share, seed) == (1.0, 0)
            beside += [Cell(fold.row, fold.name, PUBLISHED, share, seed)] if published else []
            encoder += [Cell(fold.row, fold.name, name, share, seed) for name in STRATEGIES]
    ranks = (CLASSICAL, "gru", "eegnet", PUBLISHED)
    return sorted(beside, key=lambda cell: ranks.index(cell.predictor)) + encoder


def _in_turn(folds: Iterable[Fold], most: int | None) -> Iterator[Fold]:
    """The first fold of every row, then the second, so many at most: an interrupted run has something of all rows."""
    by_row: dict[str, list[Fold]] = {}
    for fold in folds:
        by_row.setdefault(fold.row, []).append(fold)
    for together in zip_longest(*(own[:most] for own in by_row.values())):
        yield from (fold for fold in together if fold is not None)
