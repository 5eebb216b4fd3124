"""Small stores of made-up worms whose content is known, for the tests of windows' users."""

from __future__ import annotations

import numpy as np

from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal
from neurodata.store.write import write_recording

WORM = "Caenorhabditis elegans"
STATES = ("forward", "reversal", "turn")
NEURONS = ("AVAL", "AVAR", "AVBL", "AVBR", "RIML", "RIMR", "SMDVL", "RIVL", "RMEL", "AIBL")


def state_runs(rng, seconds, mean_seconds=4.0):
    """Start, stop and code of states that cover a recording but for its first second, which is not labelled."""
    edges, codes = [1.0], []
    while edges[-1] < seconds:
        edges.append(min(seconds, edges[-1] + mean_seconds * (0.5 + rng.random())))
        codes.append((codes[-1] + 1 + int(rng.random() < 0.3)) % 3 if codes else 0)
    return np.array(edges[:-1]), np.array(edges[1:]), np.array(codes)


def made_worm(
    recording_id="made_up/w1",
    *,
    subject=None,
    labels=NEURONS,
    seed=0,
    seconds=60.0,
    rate_hz=2.9,
    species=WORM,
    noise=0.3,
):
    """A worm whose neurons follow its state: each has its own mean in each state, the same in all worms."""
    rng = np.random.default_rng(seed)
    n_samples = int(seconds * rate_hz)
    start, stop, codes = state_runs(rng, seconds)
    times = np.arange(n_samples) / rate_hz
    state = codes[np.clip(np.searchsorted(start, times, side="right") - 1, 0, None)]
    tuning = np.random.default_rng(99).normal(size=(3, 302))
    columns = [NEURONS.index(label) if label in NEURONS else 200 + i for i, label in enumerate(labels)]
    values = tuning[state][:, columns] + noise * rng.normal(size=(n_samples, len(labels)))
    signals = {
        "calcium": make_signal(
            values, channel_id=[f"{recording_id}_{i}" for i in range(len(labels))], units="dF/F", rate_hz=rate_hz,
            columns={"label": list(labels)},
        ),
        "wheel": make_signal(
            np.stack([state == 1, values[:, 0]], 1).astype("float64"), channel_id=["backing", "speed"], units="a.u.",
            rate_hz=rate_hz, role="behavior",
        ),
    }  # fmt: skip
    third = seconds / 3
    intervals = {
        "state": make_intervals(start, stop, label=[STATES[code] for code in codes], code=codes),
        "split": make_intervals([0.0, 2 * third], [third, seconds], label=["train", "test"]),
    }
    metadata = {
        "dataset": recording_id.split("/")[0],
        "recording_id": recording_id,
        "subject": {"id": subject or recording_id.split("/")[1], "species": species, "sex": "XX"},
        "modality": "calcium",
        "licence": "CC-BY-4.0",
    }
    return Recording(metadata, signals, {}, intervals)


def write_worms(folder, n_worms=3, **options):
    """Write worms ``made_up/w1`` … that lack one, two, … of the neurons each."""
    for number in range(1, n_worms + 1):
        labels = [*NEURONS[number - 1 :], ""]
        write_recording(made_worm(f"made_up/w{number}", labels=labels, seed=number, **options), folder)
    return folder
