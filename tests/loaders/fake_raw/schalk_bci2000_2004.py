"""Three short runs of two made-up subjects in the full layout of eegmmidb, written with edfio."""

from pathlib import Path

import edfio
import numpy as np

from neurodata.loaders.base import Facts, RecordingFacts

ROWS = """Fc5. Fc3. Fc1. Fcz. Fc2. Fc4. Fc6. C5.. C3.. C1.. Cz.. C2.. C4.. C6.. Cp5. Cp3. Cp1. Cpz. Cp2. Cp4. Cp6. Fp1.
Fpz. Fp2. Af7. Af3. Afz. Af4. Af8. F7.. F5.. F3.. F1.. Fz.. F2.. F4.. F6.. F8.. Ft7. Ft8. T7.. T8.. T9.. T10. Tp7. Tp8.
P7.. P5.. P3.. P1.. Pz.. P2.. P4.. P6.. P8.. Po7. Po3. Poz. Po4. Po8. O1.. Oz.. O2.. Iz.."""
LABELS = ROWS.split()
SECONDS = 13
TASK = (("T0", 0.0, 4.2), ("T1", 4.2, 4.1), ("T0", 8.3, 2.0), ("T2", 10.3, 2.5))
RUNS = {"S001R01": (("T0", 0.0, 13.0),), "S001R04": TASK, "S002R05": TASK}


def write_run(path: Path, annotations: tuple, rate_hz: int = 160, labels: list[str] = LABELS) -> np.ndarray:
    """Write one run and return its integers, shape (time, channel)."""
    rng = np.random.default_rng(len(path.name) + rate_hz)
    integers = rng.integers(-200, 200, (SECONDS * rate_hz, len(labels)), dtype=np.int16)
    signals = [
        edfio.EdfSignal.from_digital(
            np.ascontiguousarray(integers[:, i]), rate_hz, label=label, physical_dimension="uV", transducer_type="BCI2000",
            digital_range=(-8092, 8092), physical_range=(-8092, 8092), prefiltering="HP:0Hz LP:0Hz N:0Hz",
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip
    notes = [edfio.EdfAnnotation(onset, duration, text) for text, onset, duration in annotations]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, annotations=notes, recording=edfio.Recording(equipment_code="BCI2000")).write(path)
    return integers


def write_raw(folder: Path) -> Facts:
    """Write the runs, the event files beside them and a list of records."""
    for run, annotations in RUNS.items():
        path = folder / run[:4] / f"{run}.edf"
        write_run(path, annotations)
        path.with_suffix(".edf.event").write_bytes(b"\x00\x01\x02")
    (folder / "RECORDS").write_text("\n".join(f"{run[:4]}/{run}.edf" for run in RUNS))
    return Facts(
        data_folder="",
        species="Homo sapiens",
        modality="eeg",
        signal="eeg",
        targets=("intervals/task",),
        recordings={
            run: RecordingFacts(
                subject=run[:4],
                n_channels=64,
                n_named=64,
                n_samples=SECONDS * 160,
                rate_hz=160.0,
                duration_seconds=13.0,
            )
            for run in RUNS
        },
        interval_labels={"task": frozenset({"rest", "left_fist", "right_fist", "both_fists", "both_feet"})},
    )
