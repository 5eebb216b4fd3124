"""Scores as tables of markdown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from .grid import SCRATCH, STRATEGIES
from .rows import ROWS, SHARES, Row

NAMES = {
    "scratch": "encoder, from scratch", "pretrained_head": "pretrained, head", "pretrained_lora": "pretrained, LoRA",
    "pretrained_full": "pretrained, all weights", "gru": "GRU, as many steps", "gru_published": "GRU, published recipe",
    "eegnet": "EEGNet, as many steps", "csp_lda": "CSP + LDA", "log_power_logistic": "logistic on log power",
    "linear_svm": "linear SVM", "logistic": "logistic", "logistic_lagged": "logistic with lags",
    "ridge": "ridge on lags", "mean": "mean", "majority": "majority", "shuffled_labels": "shuffled labels",
}  # fmt: skip
"""Predictor → how a reader knows it."""


def write_tables(path: Path, scored: pd.DataFrame, evaluated: Counter[tuple[str, str]]) -> None:
    """Write a summary, one table per row, and how often test parts were evaluated."""
    sections = [f"## Summary\n\n{markdown(make_summary(scored))}"]
    for name, row in ROWS.items():
        own = scored[scored["row"] == name]
        if len(own):
            sections.append(f"### {_title(row, own)}\n\n{markdown(make_table(own))}")
    sections.append(f"## Evaluations on test parts\n\n{markdown(make_counts(evaluated))}")
    path.write_text("\n".join(sections), encoding="utf-8")


def make_table(own: pd.DataFrame) -> pd.DataFrame:
    """Return the table of one row of the grid, the share with most labels first."""
    ordered = own.sort_values(["share", "value"], ascending=False)
    lines = []
    for line in ordered.itertuples():
        lines.append(
            {
                "labels": f"{line.share:.0%}",
                "predictor": NAMES[str(line.predictor)],
                "role": line.role,
                "score": f"{line.value:.3f}",
                "95 % interval": f"{line.low:.3f} to {line.high:.3f}",
                "seeds: number, range": f"{line.seeds}, {line.seed_spread:.3f}" if line.seeds > 1 else f"{line.seeds}",
                "ahead of scratch": _ahead(line.ahead_scratch, line.ahead_scratch_low, line.ahead_scratch_high),
                "ahead of the best classical": _ahead(
                    line.ahead_classical, line.ahead_classical_low, line.ahead_classical_high
                ),
            }
        )
    return pd.DataFrame(lines)


def make_summary(scored: pd.DataFrame) -> pd.DataFrame:
    """Return one line per row and share: scratch, the three ways of adapting, and the best classical baseline."""
    lines = []
    for name, row in ROWS.items():
        for share in reversed(SHARES):
            own = scored[(scored["row"] == name) & (scored["share"] == share)].set_index("predictor")
            if SCRATCH not in own.index:
                continue
            line = {"row": f"{row.title}, {row.metric}", "labels": f"{share:.0%}"}
            line |= {NAMES[key]: f"{own.loc[key, 'value']:.3f}" if key in own.index else "" for key in STRATEGIES}
            best = str(own.loc[SCRATCH, "best_classical"])
            found = own.loc[best, "value"] if best in own.index else float("nan")
            lines.append(line | {"best classical": f"{found:.3f} ({NAMES.get(best, best)})"})
    return pd.DataFrame(lines)


def make_counts(evaluated: Counter[tuple[str, str]]) -> pd.DataFrame:
    """Return how many evaluations on test parts there were, by row and predictor, all folds, shares and seeds together."""
    total: Counter[tuple[str, str]] = Counter()
    for (row, what), count in evaluated.items():
        total[row, what.partition(" ")[0]] += count
    lines = [{"row": row, "predictor": what, "evaluations": count} for (row, what), count in sorted(total.items())]
    return pd.DataFrame(lines)


def _title(row: Row, own: pd.DataFrame) -> str:
    over = {"fold": f"{own['folds'].iloc[0]} folds", "time": "20 blocks of time", "moment": "single trials"}[row.blocks]
    return f"{row.title}: {row.metric}, intervals over {over}"


def _ahead(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})" if value == value else ""


def markdown(table: pd.DataFrame) -> str:
    """Return a table for a document."""
    if table.empty:
        return "nothing yet\n"
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, line)) + " |" for line in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"
