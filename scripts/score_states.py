"""Do hidden states that were found without behaviour follow it? Published recordings, held-out time, baselines, nulls.

``python scripts/score_states.py FOLDER_OF_DATA OUTPUT [m1|s1|thalamus|worms …]`` fits, prints each table and writes
OUTPUT/states.md and PNG figures. What came out, and what it means, is in docs/results/states.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from states.measures import markdown
from states.reaching import score_reaching
from states.thalamus import score_thalamus
from states.worms import score_worms

from neurodata.loaders.datasets.benjamin_random_target_2018 import BenjaminRandomTarget2018
from neurodata.loaders.datasets.guo_thalamus_2017 import GuoThalamus2017
from neurodata.loaders.datasets.kato_brain_2015 import KatoBrain2015
from neurodata.loaders.datasets.stevenson_reaching_2011 import StevensonReaching2011
from neurodata.recording.recording import Recording

Tables = list[tuple[str, pd.DataFrame]]


def _all(loader_class: Callable[..., object], data: Path) -> list[Recording]:
    loader = loader_class(data / loader_class.facts.data_folder)
    return [loader.load(session) for session in loader.sessions()]


STUDIES: dict[str, Callable[[Path, Path], Tables]] = {
    "m1": lambda data, output: score_reaching(_all(StevensonReaching2011, data)[0], "m1", output),
    "s1": lambda data, output: score_reaching(_all(BenjaminRandomTarget2018, data)[0], "s1", output),
    "thalamus": lambda data, output: score_thalamus(_all(GuoThalamus2017, data)[0], output),
    "worms": lambda data, output: score_worms(_all(KatoBrain2015, data), output),
}


def main() -> None:
    """Run what is named, or everything, and write tables and figures."""
    data, output, wanted = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or list(STUDIES)
    output.mkdir(parents=True, exist_ok=True)
    sections = []
    for name in wanted:
        begin = time.perf_counter()
        for title, table in STUDIES[name](data, output):
            sections.append(f"### {title}\n\n{markdown(table)}")
            print(sections[-1], flush=True)
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    (output / "states.md").write_text("\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
