"""Made-up tables of traces, as several programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def make_values(n_samples: int = 80, n_cells: int = 4, seed: int = 0) -> np.ndarray:
    """Traces with missing values, shape ``(time, cell)``."""
    values = np.random.default_rng(seed).normal(0, 1, (n_samples, n_cells))
    values[5, 1] = np.nan
    return values


def write_inscopix(path: Path, values: np.ndarray, rate_hz: float = 20.0) -> None:
    """Write a table as Inscopix' software exports cells, with blanks after the commas."""
    n_cells = values.shape[1]
    statuses = ["accepted", "rejected", "undecided"]
    with path.open("w") as out:
        out.write(" , " + ", ".join(f"C{cell:02d}" for cell in range(n_cells)) + "\n")
        out.write("Time(s)/Cell Status, " + ", ".join(statuses[cell % 3] for cell in range(n_cells)) + "\n")
        for sample, row in enumerate(values):
            cells = ", ".join("nan" if np.isnan(value) else repr(float(value)) for value in row)
            out.write(f"{sample / rate_hz!r}, {cells}\n")


def write_raw(folder: Path) -> set[str]:
    """Write tables with and without headers and times, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    values = make_values()
    np.savetxt(folder / "plain.csv", np.nan_to_num(values), delimiter=",")
    pd.DataFrame(values).to_csv(folder / "pandas.csv")
    table = pd.DataFrame(values, columns=["AVAL", "RIML", "ASEL", "cell 4"])
    table.insert(0, "Time (ms)", np.arange(80) * 50.0)
    table.to_csv(folder / "german.csv", sep=";", decimal=",", index=False)
    table.to_csv(folder / "tabs.tsv", sep="\t", index=False)
    write_inscopix(folder / "inscopix.csv", values)
    np.savetxt(folder / "blanks.txt", np.nan_to_num(values), header="made by hand")
    (folder / "notes.txt").write_text("1, 2, 3\nsome notes about the mice and what they did\n")
    return {"plain", "pandas", "german", "tabs", "inscopix", "blanks"}
