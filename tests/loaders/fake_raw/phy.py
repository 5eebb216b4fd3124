"""Made-up folders in the layouts of Kilosort 2 with phy, and of SpikeInterface's export."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE = 25000.0
N_SPIKES, N_CHANNELS, N_SAMPLES = 400, 6, 20


def write_kilosort(folder: Path, seed: int = 0) -> None:
    """Kilosort 2 after curation in phy: (spike, 1) arrays of unsigned integers, dense whitened templates."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    samples = np.sort(rng.integers(0, 60 * int(RATE), N_SPIKES)).astype(np.uint64)
    samples[10] = samples[11]
    templates_of = rng.integers(0, 4, N_SPIKES).astype(np.uint32)
    clusters = np.where(templates_of == 3, 9, templates_of).astype(np.int32)
    clusters[(templates_of == 2) & (rng.random(N_SPIKES) < 0.5)] = 9  # a merge
    np.save(folder / "spike_times.npy", samples[:, None])
    np.save(folder / "spike_templates.npy", templates_of[:, None])
    np.save(folder / "spike_clusters.npy", clusters)
    np.save(folder / "amplitudes.npy", rng.gamma(9.0, 2.0, (N_SPIKES, 1)))
    np.save(folder / "spike_positions.npy", rng.random((N_SPIKES, 2)).astype(np.float32))
    np.save(folder / "templates.npy", templates(rng))
    np.save(folder / "templates_ind.npy", np.tile(np.arange(N_CHANNELS), (4, 1)).astype(np.float64))
    np.save(folder / "whitening_mat_inv.npy", np.diag(np.arange(1.0, N_CHANNELS + 1)))
    np.save(folder / "channel_map.npy", np.array([[0], [1], [3], [4], [5], [7]], np.int32))
    np.save(folder / "channel_positions.npy", np.column_stack([np.tile([16.0, 48.0], 3), 20.0 * np.arange(N_CHANNELS)]))
    np.save(folder / "channel_shanks.npy", np.zeros(N_CHANNELS))
    (folder / "params.py").write_text(
        "dat_path = 'C:\\Users\\someone\\recording.dat'\nn_channels_dat = 8\ndtype = 'int16'\noffset = 0\n"
        f"sample_rate = {RATE:.0f}.\nhp_filtered = False\n"
    )
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tnoise\n9\tunsorted\n30\tgood\n")
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n0\tmua\n1\tgood\n2\tmua\n9\tgood\n")
    (folder / "cluster_ContamPct.tsv").write_text("cluster_id\tContamPct\n0\t1.5\n1\t100.0\n9\t\n")
    (folder / "cluster_info.tsv").write_text(
        "id\tch\tfr\tgroup\tn_spikes\n0\t1\t2.5\tmua\t10\n1\t1\t2.5\tmua\t10\n2\t0\t1.25\t\t10\n9\t2\t0.5\t\t10\n"
    )


def templates(rng: np.random.Generator) -> np.ndarray:
    shape = -np.hanning(N_SAMPLES)
    peaks = np.eye(N_CHANNELS)[[1, 1, 0, 4]] + 0.1 * rng.random((4, N_CHANNELS))
    return (shape[None, :, None] * peaks[:, None, :]).astype(np.float32)


def write_sparse(folder: Path) -> None:
    """SpikeInterface's export: templates on some channels each, no whitening, positions, no curation."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    np.save(folder / "spike_times.npy", np.array([5, 5, 100, 230], np.int64))
    np.save(folder / "spike_templates.npy", np.array([1, 0, 1, 0], np.int64))
    np.save(folder / "spike_clusters.npy", np.array([1, 0, 1, 0], np.int32))
    waves = rng.normal(size=(2, 10, 2)).astype(np.float32)
    waves[0, 3, 1], waves[1, 3, 0] = 50.0, -50.0
    np.save(folder / "templates.npy", waves)
    np.save(folder / "template_ind.npy", np.array([[0, 3], [2, -1]]))
    np.save(folder / "channel_map.npy", np.arange(4, dtype=np.int32))
    np.save(folder / "channel_positions.npy", np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 40.0], [0.0, 60.0]]))
    (folder / "params.py").write_text("dat_path = r'None'\nn_channels_dat = 4\nsample_rate = 30000.0\n")
    (folder / "cluster_si_unit_id.tsv").write_text("cluster_id\tsi_unit_id\n0\tA\n1\tB\n")


def write_raw(folder: Path) -> set[str]:
    write_kilosort(folder / "mouse1" / "kilosort2")
    write_sparse(folder / "mouse2")
    return {"mouse1-kilosort2", "mouse2"}
