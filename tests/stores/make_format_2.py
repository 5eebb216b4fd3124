"""Write the tiny store of format 2 that is kept for ever; the same bytes come out every time.

Run once, when the format was fixed: ``python tests/stores/make_format_2.py tests/stores/format_2``. Format 2 is format 1
with graphs: what the two share is in the store of format 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from neurodata.recording.graphs import make_graph
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal
from neurodata.store.write import write_recording


def make_recordings() -> list[Recording]:
    """A recording of graphs only, with every kind of column, and one with a signal beside a graph without edges."""
    subject = {"id": "w1", "species": "Caenorhabditis elegans", "sex": "XX"}
    tables = [
        {"kind": "chemical", "source": "White1986", "units": "synapses", "missing": ["öß 線虫"]},
        {"kind": "electrical", "source": "Cook2019", "units": "EM sections", "missing": []},
    ]
    wiring = make_graph(
        ["AVAL", "AVAR", "öß 線虫"], [0, 1, 1, 2], [1, 0, 1, 0],
        kind=["chemical", "chemical", "chemical", "electrical"], weight=[3, 5, 0.25, 2],
        source=["White1986", "White1986", "White1986", "Cook2019"], tables=tables,
        node_columns={"x": [0.0, np.nan, -2.5], "inter": [True, True, False]}, attributes={"sex": "hermaphrodite"},
        n_sections=np.array([7, 0, 255, 1], "uint8"), note=["", "a", "ünï", ""],
    )  # fmt: skip
    # The one graph with a sharded column: a ring of 17 000 edges.
    ring = np.arange(17_000)
    large = make_graph(
        [f"n{number}" for number in range(200)], ring % 200, (ring + 1) % 200, kind="functional",
        weight=ring / 8, source="made up",
    )  # fmt: skip
    empty = make_graph(["AVAL", "AVAR"], [], [], kind=[], weight=[], source=[])
    about = {"dataset": "kept", "subject": subject, "extra": {"note": "öß 線虫"}}
    calcium = make_signal(
        np.arange(20.0).reshape(10, 2), channel_id=["AVAL", "AVAR"], units="dF/F", rate_hz=3137 / 1080
    )
    return [
        Recording(
            {**about, "recording_id": "kept/connectome", "modality": "other"}, graphs={"wiring": wiring, "ring": large}
        ),
        Recording(
            {**about, "recording_id": "kept/worm", "modality": "calcium"}, {"calcium": calcium}, graphs={"empty": empty}
        ),
    ]


if __name__ == "__main__":
    for recording in make_recordings():
        print(write_recording(recording, Path(sys.argv[1])))
