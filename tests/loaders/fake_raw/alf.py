"""Made-up sessions as the IBL publishes them (ONE cache) and as Steinmetz et al. 2019 did (one folder)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

N_TRIALS, N_FRAMES = 6, 50
UUID = "6f0a4d5c-1111-4222-8333-0123456789ab"


def save(folder: Path, **arrays: np.ndarray) -> None:
    """Write arrays as ``.npy``; a double underscore stands for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name.replace('__', '.')}.npy", values)


def write_probe(folder: Path, seed: int, *, n_spikes: int = 200, n_clusters: int = 5) -> None:
    rng = np.random.default_rng(seed)
    save(
        folder,
        spikes__times=np.sort(rng.random(n_spikes) * 100),
        spikes__clusters=rng.integers(0, n_clusters - 1, n_spikes).astype(np.uint32),
        spikes__amps=rng.random(n_spikes) * 1e-4,
        spikes__depths=(rng.random(n_spikes) * 3840).astype(np.float32),
        clusters__channels=rng.integers(0, 8, n_clusters).astype(np.int64),
        clusters__depths=rng.random(n_clusters),
        clusters__waveforms=np.zeros((n_clusters, 82, 4), np.float32),
        channels__localCoordinates=np.column_stack([np.tile([16.0, 48.0], 4), 20.0 * np.arange(8)]),
        channels__mlapdv=rng.normal(size=(8, 3)),
        channels__brainLocationIds_ccf_2017=np.arange(100, 108),
        channels__rawInd=np.arange(8),
    )
    np.save(folder / "_phy_spikes_subset.waveforms.npy", np.zeros((3, 4, 2)))
    metrics = pd.DataFrame({"cluster_id": [0, 2, 3], "label": [1.0, 0.5, 0.0], "ks2_label": ["good", "mua", "good"]})
    metrics.to_parquet(folder / "clusters.metrics.pqt")
    pd.DataFrame({"uuids": [f"u{seed}{i}" for i in range(n_clusters)]}).to_csv(
        folder / "clusters.uuids.csv", index=False
    )


def write_ibl(session: Path) -> None:
    rng = np.random.default_rng(0)
    alf = session / "alf"
    starts = np.arange(N_TRIALS) * 5.0
    table = {
        "intervals_0": starts, "intervals_1": starts + 4.5, "stimOn_times": starts + 1.0,
        "choice": rng.choice([-1.0, 1.0], N_TRIALS), "contrastLeft": np.r_[0.5, [np.nan] * (N_TRIALS - 1)],
    }  # fmt: skip
    alf.mkdir(parents=True)
    pd.DataFrame(table).to_parquet(alf / f"_ibl_trials.table.{UUID}.pqt")
    save(alf, _ibl_trials__goCueTrigger_times=starts + 1.1, _ibl_trials__intervals_bpod=np.c_[starts, starts + 4])
    save(alf, _ibl_wheel__position=np.cumsum(rng.normal(size=40)), _ibl_wheel__timestamps=np.cumsum(rng.random(40)))
    save(
        alf,
        _ibl_wheelMoves__intervals=np.c_[[1.0, 2.0], [1.5, 3.0]],
        _ibl_wheelMoves__peakAmplitude=np.array([0.1, 0.2]),
    )
    save(alf, licks__times=np.sort(rng.random(7) * 20))
    frames = np.arange(N_FRAMES) / 60 + 0.1
    save(alf, _ibl_leftCamera__times=frames, leftCamera__ROIMotionEnergy=rng.random(N_FRAMES))
    dlc = pd.DataFrame(rng.random((N_FRAMES, 3)), columns=["nose_tip_x", "nose_tip_y", "nose_tip_likelihood"])
    dlc.to_parquet(alf / "_ibl_leftCamera.dlc.pqt")
    (alf / "_ibl_passivePeriods.intervalsTable.csv").write_text(
        ",passiveProtocol,spontaneousActivity,RFM,taskReplay\nstart,50.0,50.0,70.0,\nstop,90.0,60.0,90.0,\n"
    )
    (alf / "_ibl_passiveStims.table.csv").write_text(
        "valveOn,valveOff,toneOn,toneOff\n80,80.1,81,81.1\n82,82.1,83,83.1\n"
    )
    (alf / "probes.description.json").write_text("[]")
    write_probe(alf / "probe00" / "pykilosort", 1)
    write_probe(alf / "probe00", 2, n_spikes=10)  # an older sorting
    write_probe(alf / "probe01" / "pykilosort" / "#2024-05-06#", 3)
    write_probe(alf / "probe01" / "pykilosort", 4, n_clusters=9)
    (session / "raw_video_data").mkdir()
    np.save(session / "raw_video_data" / "_iblrig_leftCamera.timestamps.npy", np.zeros(3))


def write_steinmetz(session: Path) -> None:
    rng = np.random.default_rng(5)
    column = np.linspace(1.0, 90.0, 120)[:, None]
    save(
        session,
        spikes__times=column, spikes__clusters=rng.integers(0, 3, (120, 1)).astype(np.uint32),
        spikes__amps=rng.random((120, 1)), clusters__peakChannel=np.array([[1.0], [4.0], [2.0]]),
        clusters___phy_annotation=np.array([[2], [3], [1]], np.uint8), clusters__probes=np.array([[0], [0], [1]]),
        channels__sitePositions=np.array([[43.0, 20], [11, 20], [59, 40], [27, 40]]),
        trials__intervals=np.c_[[1.0, 5.0], [4.0, 9.0]], trials__response_choice=np.array([[1.0], [-1.0]]),
        wheel__position=rng.normal(size=(500, 1)).astype(np.float32), wheel__timestamps=np.array([[0, 2.0], [499, 101.8]]),
        face__motionEnergy=rng.random((60, 1)), face__timestamps=np.array([[0, 1.0], [30, 2.0], [50, 4.0]]),
        eye__xyPos=rng.random((60, 2)), eye__timestamps=np.array([[1, 1.0], [60, 2.0]]),
        spontaneous__intervals=np.array([[20.0, 40.0]]), passiveBeeps__times=np.array([[95.0], [94.0]]),
        sparseNoise__times=np.array([[50.0], [51.0]]), sparseNoise__positions=np.array([[1.0, 2], [3, 4]]),
    )  # fmt: skip
    (session / "channels.brainLocation.tsv").write_text(
        "ccf_ap\tccf_dv\tccf_lr\tallen_ontology\n1\t2\t3\tVISp\n1\t2\t3\tVISp\n1\t2\t3\tCA1\n4\t5\t6\troot\n"
    )


def write_raw(folder: Path) -> set[str]:
    write_ibl(folder / "cortexlab" / "Subjects" / "KS_014" / "2019-12-03" / "001")
    write_steinmetz(folder / "Cori_2016-12-14")
    return {"cortexlab-Subjects-KS_014-2019-12-03-001", "Cori_2016-12-14"}
