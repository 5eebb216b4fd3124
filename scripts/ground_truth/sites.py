"""Can a site that differs in nothing but its sampling rate be told from tokens?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.signal import resample
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodata.models.layers.patches import resize_matrix, to_base
from neurodata.models.network import Inputs
from neurodata.models.networks import perceiver
from neurodata.simulate.eeg import simulate_eeg
from neurodata.simulate.fmri import simulate_fmri
from neurodata.simulate.spikes import simulate_spikes

from .cohorts import make_worms

Floats = NDArray[np.float64]
Sampled = tuple[Floats, float]
"""Values ``(time, channel)`` and their rate."""

N_RECORDINGS = 16
"""Each is sampled at both rates; the first half of them is learned from, the other scored."""

PSEUDO_INVERSE, BILINEAR, INTERPOLATED = RESIZINGS = ("as it is (pseudo-inverse)", "kernels stretched (bilinear)", "samples interpolated below the base rate")  # fmt: skip


def score_sites(name: str, task: Any, seed: int) -> pd.DataFrame:
    """Return scores of held-out recordings by a classifier of sites, for each way of resizing kernels."""
    pairs = _SIMULATE[name](1000 + seed)
    rows = []
    for resizing in RESIZINGS:
        with _resizing(resizing):
            tokens = np.stack([[_tokens(task.network, *site) for site in pair] for pair in pairs])
        cut = len(tokens) // 2
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        model.fit(*_table(tokens[:cut]))
        features, sites = _table(tokens[cut:])
        said = model.decision_function(features)
        of = np.repeat(np.arange(cut, len(tokens)), len(said) // (len(tokens) - cut))
        rows.append(pd.DataFrame({"modality": name, "seed": seed, "resizing": resizing, "recording": of, "site": sites, "said": said}))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def auc(scores: pd.DataFrame, seed: int = 0) -> tuple[float, float, float]:
    """Return the area under the curve over held-out channels, mean over seeds, and its interval over recordings."""
    groups = [[part for _, part in one.groupby("recording")] for _, one in scores.groupby("seed")]
    rng = np.random.default_rng(seed)
    drawn = [[_auc([one[i] for i in rng.integers(len(one), size=len(one))]) for one in groups] for _ in range(300)]
    low, high = np.percentile(np.mean(drawn, 1), [2.5, 97.5])
    return float(np.mean([_auc(one) for one in groups])), float(low), float(high)


def _auc(parts: list[pd.DataFrame]) -> float:
    joined = pd.concat(parts)
    return float(roc_auc_score(joined["site"], joined["said"]))


def _table(tokens: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Tokens ``(recording, site, channel, feature)`` as rows, recording by recording, and their sites."""
    n_recordings, n_sites, n_channels, width = tokens.shape
    sites = np.tile(np.repeat(np.arange(n_sites), n_channels), n_recordings)
    return tokens.reshape(-1, width), sites


@torch.no_grad()
def _tokens(network: Any, values: Floats, rate_hz: float) -> Floats:
    """Each channel's token, averaged over a recording, ``(channel, feature)``; channels go by those trained first."""
    network.eval()
    shown = torch.from_numpy(values).float()[None]
    ids = torch.arange(1, shown.shape[2] + 1)[None]
    visible = torch.ones_like(shown, dtype=torch.bool)
    seconds = torch.arange(shown.shape[1], dtype=torch.float64) / rate_hz
    tokens = network.tokenise(Inputs(shown, visible, ids, torch.ones_like(ids, dtype=torch.bool), seconds))
    return tokens.content[0].mean(1).double().numpy()


@contextmanager
def _resizing(how: str) -> Iterator[None]:
    """Bring patches to their base samples in one way or another."""
    ways = {PSEUDO_INVERSE: to_base, BILINEAR: _stretched, INTERPOLATED: _interpolated}
    with mock.patch.object(perceiver, "to_base", ways[how]):
        yield


def _stretched(n_samples: int, base_samples: int, bins: bool) -> Floats:
    """Kernels by bilinear interpolation alone, as one would stretch an image."""
    place = np.linspace(0, base_samples - 1, n_samples)
    return np.stack([np.interp(place, np.arange(base_samples), row) for row in np.eye(base_samples)])


def _interpolated(n_samples: int, base_samples: int, bins: bool) -> Floats:
    """As it is where there are enough samples; fewer are interpolated instead of inverted."""
    if n_samples >= base_samples:
        return to_base(n_samples, base_samples, bins)
    return resize_matrix(n_samples, base_samples, bins=bins)


def _both(values: Floats, rate_hz: float, faster: bool) -> tuple[Sampled, Sampled]:
    """The same band-limited signal at two rates: as it is and at twice the rate, or at half the rate and as it is."""
    values = values[: len(values) // 2 * 2]
    values = (values - values.mean(0)) / values.std(0)
    other = resample(values, len(values) * 2 if faster else len(values) // 2)
    return ((values, rate_hz), (other, 2 * rate_hz)) if faster else ((other, rate_hz / 2), (values, rate_hz))


def _worm_sites(seed: int) -> list[tuple[Sampled, Sampled]]:
    worms = make_worms(N_RECORDINGS, 60.0, seed)
    return [_both(np.nan_to_num(worm.traces, nan=float(np.nanmean(worm.traces))), 3.0, True) for worm in worms]


def _spike_sites(seed: int) -> list[tuple[Sampled, Sampled]]:
    """The same spikes, counted in bins of 50 and of 25 ms."""
    pairs = []
    for one in simulate_spikes(N_RECORDINGS, 10.0, seed):
        counts = [
            np.column_stack([np.histogram(times, np.arange(0, 10 + 1e-9, 1 / rate))[0] for times in one.spike_times])
            for rate in (20.0, 40.0)
        ]
        pairs.append(((counts[0].astype(float), 20.0), (counts[1].astype(float), 40.0)))
    return pairs


def _eeg_sites(seed: int) -> list[tuple[Sampled, Sampled]]:
    """Recorded at 320 Hz with all that there is up to 160 Hz, and at 160 Hz."""
    return [_both(one.samples, 320.0, False) for one in simulate_eeg(N_RECORDINGS, 20, seed, rate_hz=320)]


def _fmri_sites(seed: int) -> list[tuple[Sampled, Sampled]]:
    """Regional means at the scanner's rate, and at twice that."""
    pairs = []
    for one in simulate_fmri(N_RECORDINGS, 240.0, seed):
        regions = [one.volumes[one.labels == label].mean(0) for label in range(1, one.labels.max() + 1)]
        pairs.append(_both(np.column_stack(regions), 0.5, True))
    return pairs


_SIMULATE: dict[str, Callable[[int], list[tuple[Sampled, Sampled]]]] = {
    "worms": _worm_sites, "spikes": _spike_sites, "eeg": _eeg_sites, "fmri": _fmri_sites,
}  # fmt: skip
