"""Masked prediction of held-out recordings: what is hidden, who predicts it, and how well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import xlogy

from neurodata import names
from neurodata.batches.batch import Batch
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.carry_over import carry_over
from neurodata.models.layers.patches import PATCHINGS, family_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PATCHES, CHANNELS, HALF = "hidden patches", "hidden channels", "half of the channels"
SHARES = {PATCHES: 0.3, CHANNELS: 0.2, HALF: 0.5}
"""What is hidden of a window: each patch of each channel by chance, or whole channels."""

LOWEST = 0.05
"""Lowest rate that a baseline may say, relative to the channel's mean: a rate of 0 makes one spike infinitely unlikely."""

PENALTIES = (0.03, 0.3, 3.0, 30.0)
"""Of ridge, relative to the mean variance of what it sees."""


@dataclass(frozen=True)
class Window:
    """A window of a held-out recording, and what is hidden of it.

    Parameters
    ----------
    recording_id, first
        Which recording, and its first sample there.
    values, truthful, hidden
        Scaled values or counts, whether they were recorded, and whether they are hidden, each ``(time, channel)``.
    patch
        Samples of a patch.
    """

    recording_id: str
    first: int
    values: Floats
    truthful: Flags
    hidden: Flags
    patch: int

    @property
    def visible(self) -> Flags:
        """Whether a value may be looked at."""
        return self.truthful & ~self.hidden


@dataclass(frozen=True)
class Score:
    """Errors of one recording's hidden values.

    Parameters
    ----------
    wrong, of
        Summed squared error or deviance of the prediction, and of the channel's own mean, ``(window,)``.
    """

    wrong: Floats
    of: Floats

    @property
    def explained(self) -> float:
        """R² or deviance explained: 1 is perfect, 0 the channel's mean in the first half of the recording."""
        return float(1 - self.wrong.sum() / self.of.sum())

    def ahead(self, other: Score, seed: int = 0) -> tuple[float, float, float]:
        """Return how much more is explained than by another, with its 95 % bootstrap interval over windows."""
        rng = np.random.default_rng(seed)
        drawn = rng.integers(len(self.of), size=(2000, len(self.of)))
        gains = (other.wrong - self.wrong)[drawn].sum(1) / self.of[drawn].sum(1)
        low, high = np.percentile(gains, [2.5, 97.5])
        return self.explained - other.explained, float(low), float(high)


def hide(batch: Batch, patch: int, pattern: str, rng: np.random.Generator) -> torch.Tensor:
    """Return what is hidden of a batch, bool ``(batch, time, channel)``; whole channels as a fixed number per window."""
    n, length, n_channels = batch.values.shape
    if pattern == PATCHES:
        drawn = rng.random((n, -(-length // patch), n_channels)) < SHARES[pattern]
        return torch.from_numpy(np.repeat(drawn, patch, 1)[:, :length])
    order = rng.random((n, n_channels)).argsort(1).argsort(1)
    chosen = order < max(1, round(SHARES[pattern] * n_channels))
    return torch.from_numpy(np.repeat(chosen[:, None], length, 1))


def hidden_windows(data: RecordingDataModule, pattern: str, seed: int) -> Iterator[tuple[Batch, torch.Tensor, list[Window]]]:  # fmt: skip
    """Yield windows of the test part side by side, one recording per batch, and what is hidden of them."""
    rng = np.random.default_rng([seed, list(SHARES).index(pattern)])
    patch = patch_samples(data)
    loader = data.covering_dataloader(names.TEST, data.window_seconds)
    for batch in loader:
        for one in torch.unique(batch.recording):
            part = _of_recording(batch, batch.recording == one)
            hidden = hide(part, patch, pattern, rng)
            recording_id = loader.dataset.recording_ids[int(one)]  # type: ignore[attr-defined]
            rows = zip(part.first.tolist(), part.values.double().numpy(), part.recorded.numpy(), hidden.numpy())
            yield part, hidden, [Window(recording_id, first, v, r, h, patch) for first, v, r, h in rows]


def patch_samples(data: RecordingDataModule) -> int:
    """Samples of a patch of the data's modality."""
    return PATCHINGS[family_of(data.spec.channels[0].modality)].n_samples(data.rate_hz)


def _of_recording(batch: Batch, rows: torch.Tensor) -> Batch:
    present = batch.present[rows]
    kept = int(present.sum(1).max())
    part = {name: getattr(batch, name)[rows] for name in ("values", "recorded", "channel_ids", "present", "target", "recording", "first")}  # fmt: skip
    for name in ("values", "recorded"):
        part[name] = part[name][:, :, :kept]
    for name in ("channel_ids", "present"):
        part[name] = part[name][:, :kept]
    return batch._replace(**part)


Predictor = Callable[[Batch, torch.Tensor, list[Window]], Floats]
"""Batch, what is hidden, the same as windows → what is said of every sample, ``(batch, time, channel)``."""


def score(data: RecordingDataModule, pattern: str, seed: int, predictors: Mapping[str, Predictor], counted: Callable[[Batch], torch.Tensor] | None = None) -> dict[str, dict[str, Score]]:  # fmt: skip
    """Return predictor → recording id → errors over all of its hidden values in the test part.

    Parameters
    ----------
    data, pattern, seed
        What is hidden of what.
    predictors
        Name → predictor.
    counted
        Channels of a batch that are scored, bool ``(batch, channel)``; all where None.
    """
    counts = data.spec.channels[0].counts
    means = {key: np.nanmean(first_half(data, key), 0) for key in data.split.recordings(names.TEST)}
    sums: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in predictors}
    for batch, hidden, windows in hidden_windows(data, pattern, seed):
        known = [window.truthful & window.hidden for window in windows]
        if counted is not None:
            known = [mask & chosen for mask, chosen in zip(known, counted(batch).numpy()[:, None])]
        for name, predictor in predictors.items():
            for window, said, mask in zip(windows, predictor(batch, hidden, windows), known):
                mean = np.broadcast_to(means[window.recording_id], mask.shape)[mask]
                found = _errors(window.values[mask], said[mask], mean, counts)
                sums[name].setdefault(window.recording_id, []).append(found)
    return {name: {key: Score(*np.array(found).T) for key, found in by_id.items()} for name, by_id in sums.items()}


def _errors(truth: Floats, said: Floats, mean: Floats, counts: bool) -> tuple[float, float]:
    if not counts:
        return float(((truth - said) ** 2).sum()), float(((truth - mean) ** 2).sum())
    return deviance(truth, np.maximum(said, LOWEST * mean)), deviance(truth, mean)


def deviance(counts: Floats, rate: Floats) -> float:
    """Return the Poisson deviance of counts; a unit that never fired counts little."""
    rate = np.maximum(rate, 1e-3)
    return float(2 * (xlogy(counts, np.maximum(counts, 1e-12) / rate) - counts + rate).sum())


def first_half(data: RecordingDataModule, recording_id: str) -> Floats:
    """Return the training stretch of a recording, scaled, ``(time, channel)``; NaN where nothing was recorded."""
    [stretch] = [s for s in data.split.parts[names.TRAIN] if s.recording_id == recording_id]
    prepared = data.prepared(recording_id)
    return scaled(data, recording_id)[prepared.samples(stretch)]


def scaled(data: RecordingDataModule, recording_id: str) -> Floats:
    """Return a whole recording as the windows have it."""
    data.setup()
    values = np.asarray(data.prepared(recording_id).values, np.float64)
    if recording_id not in data.statistics:
        return values
    mean, std = data.statistics[recording_id]
    return (values - mean) / std


def network_predictor(model: Any, data: RecordingDataModule, change: Callable[[Batch], Batch] | None = None) -> Predictor:  # fmt: skip
    """A trained network, which knows the recording's channels by what they share with those it was trained on."""
    network = carry_over(getattr(model, "network", model), data.spec).eval()

    @torch.no_grad()
    def predict(batch: Batch, hidden: torch.Tensor, windows: list[Window]) -> Floats:
        batch = change(batch) if change is not None else batch
        return network.reconstruct(network.see(batch, hidden)).double().numpy()

    return predict


def copy_predictor(data: RecordingDataModule) -> Predictor:
    """The channel's last visible value, of counts their mean over the last patch; before the window if none is in it."""
    patch = patch_samples(data) if data.spec.channels[0].counts else 1
    trailing = {key: _trailing(scaled(data, key), patch) for key in data.split.recordings(names.TEST)}

    def predict(batch: Batch, hidden: torch.Tensor, windows: list[Window]) -> Floats:
        return np.stack([_copied(window, trailing[window.recording_id]) for window in windows])

    return predict


def _trailing(values: Floats, n: int) -> Floats:
    """Mean of each sample and those before it; what was not recorded is held."""
    held = np.where(np.isfinite(values), values, 0.0)
    total = np.cumsum(np.vstack([np.zeros((n, held.shape[1])), held]), 0)
    return (total[n:] - total[:-n]) / n


def _copied(window: Window, trailing: Floats) -> Floats:
    out = np.empty_like(window.values)
    last = trailing[max(window.first - 1, 0)]
    for step, visible in enumerate(window.visible):
        out[step] = last
        last = np.where(visible, trailing[window.first + step], last)
    return out


def oracle_predictor(data: RecordingDataModule, oracle: Mapping[str, Floats]) -> Predictor:
    """The noise-free signal, with each channel's best gain and offset; of counts their expectation as it is."""
    fitted = {key: _fitted(oracle[key], scaled(data, key), data.spec.channels[0].counts) for key in data.split.recordings(names.TEST)}  # fmt: skip

    def predict(batch: Batch, hidden: torch.Tensor, windows: list[Window]) -> Floats:
        return np.stack([fitted[w.recording_id][w.first : w.first + len(w.values)] for w in windows])

    return predict


def _fitted(oracle: Floats, values: Floats, counts: bool) -> Floats:
    oracle = oracle[: len(values)]
    if counts:
        return oracle
    out = np.empty_like(values)
    for number, (truth, seen) in enumerate(zip(oracle.T, values.T)):
        known = np.isfinite(truth) & np.isfinite(seen)
        slope, offset = (
            np.polyfit(truth[known], seen[known], 1) if truth[known].std() > 0 else (0.0, seen[known].mean())
        )
        out[:, number] = slope * truth + offset
    return out


def ridge_predictor(data: RecordingDataModule) -> Predictor:
    """Ridge of each channel on those visible at its moment and their means over the patch, fitted to the first half.

    One covariance gives the regression on any set of visible channels. The penalty is chosen on the first half's end.
    """
    patch = patch_samples(data)
    fits = {key: Ridge.choose(first_half(data, key), patch) for key in data.split.recordings(names.TEST)}

    def predict(batch: Batch, hidden: torch.Tensor, windows: list[Window]) -> Floats:
        return np.stack([fits[w.recording_id].predict(w.values, w.visible, w.patch) for w in windows])

    return predict


@dataclass(frozen=True)
class Ridge:
    """Means and covariance of channels and of their means over patches.

    Parameters
    ----------
    mean, covariance
        Of channels, then of their means over patches, ``(2 * channel,)`` and its square.
    penalty
        Added to the variance of what is seen.
    """

    mean: Floats
    covariance: Floats
    penalty: float

    @classmethod
    def fit(cls, values: Floats, patch: int, penalty: float) -> Ridge:
        """Fit to ``(time, channel)``; what was not recorded counts as the channel's mean."""
        mean = np.nanmean(values, 0)
        filled = np.where(np.isfinite(values), values, mean)
        both = np.hstack([filled, _by_patch(filled, patch)])
        covariance = np.cov(both.T)
        return cls(np.r_[mean, mean], covariance, penalty * float(np.diag(covariance)[: len(mean)].mean()))

    @classmethod
    def choose(cls, values: Floats, patch: int) -> Ridge:
        """Fit with the penalty that predicts a fifth of the channels best in the last third."""
        cut = len(values) * 2 // 3 // patch * patch
        late = np.where(np.isfinite(values[cut:]), values[cut:], np.nanmean(values, 0))
        hidden = np.random.default_rng(0).random(values.shape[1]) < 0.2
        hidden[0] = True
        visible = np.broadcast_to(~hidden, late.shape)
        wrong = [
            ((cls.fit(values[:cut], patch, penalty).predict(late, visible, patch) - late)[:, hidden] ** 2).sum()
            for penalty in PENALTIES
        ]
        return cls.fit(values, patch, PENALTIES[int(np.argmin(wrong))])

    def predict(self, values: Floats, visible: Flags, patch: int) -> Floats:
        """Return what is told of every channel by those visible throughout a patch, ``(time, channel)``."""
        n_channels = values.shape[1]
        out = np.empty_like(values)
        for first in range(0, len(values), patch):
            part, seen = values[first : first + patch], visible[first : first + patch].all(0)
            both = np.hstack([part, np.broadcast_to(part.mean(0), part.shape)]) - self.mean
            twice = np.r_[seen, seen]
            inner = self.covariance[np.ix_(twice, twice)] + self.penalty * np.eye(int(twice.sum()))
            told = np.linalg.solve(inner, both[:, twice].T)
            out[first : first + patch] = (self.covariance[:n_channels][:, twice] @ told).T + self.mean[:n_channels]
        return out


def _by_patch(values: Floats, patch: int) -> Floats:
    """Each patch's mean, at each of its samples."""
    starts = np.arange(0, len(values), patch)
    sizes = np.diff(np.r_[starts, len(values)])
    return np.repeat(np.add.reduceat(values, starts, 0) / sizes[:, None], sizes, 0)
