"""Patches of time whose embedding does not depend on the sampling rate."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Patching(NamedTuple):
    """How a family of modalities is cut into patches.

    Parameters
    ----------
    seconds
        Length of a patch.
    base_samples
        Samples of the base kernel; a recording of ``base_samples / seconds`` Hz is embedded without resizing.
    """

    seconds: float
    base_samples: int

    @property
    def base_rate_hz(self) -> float:
        """Rate at which patches are embedded as they are."""
        return self.base_samples / self.seconds

    def n_samples(self, rate_hz: float) -> int:
        """Return how many samples of a recording a patch holds: as many as come closest to its length, at least one.

        Dong et al. 2025 (BrainHarmonix): patches are of equal seconds, ``round(seconds / TR)`` samples.
        """
        # A clock in float32 misses by its last bits: a patch of 62.5 samples must not be 62 in one window, 63 in another.
        return max(1, round(round(self.seconds * rate_hz, 3)))


FAMILIES = ("other", "calcium", "spikes", "electrical", "fmri")
PATCHINGS = {
    "other": Patching(1.0, 16),
    "calcium": Patching(1.0, 16),  # an indicator's decay
    "spikes": Patching(0.2, 4),  # bins of 50 ms
    "electrical": Patching(0.25, 32),  # 128 Hz: two cycles of alpha
    "fmri": Patching(10.0, 4),  # TR 2.5 s; the haemodynamic response rises and falls within two
}
"""Kinds of recordings that share a patch length and kernels: chosen from their time scales, not tuned."""

_FAMILY_OF = {
    "calcium": "calcium", "spikes": "spikes", "eeg": "electrical", "seeg": "electrical", "ecog": "electrical",
    "meg": "electrical", "lfp": "electrical", "fmri": "fmri",
}  # fmt: skip


def family_of(modality: str) -> str:
    """Return the family of a modality; an unknown one is ``other``."""
    return _FAMILY_OF.get(modality, "other")


def resize_matrix(n_from: int, n_to: int, *, bins: bool = False) -> NDArray[np.float64]:
    """Return the matrix that resamples a patch to another number of samples, ``(n_to, n_from)``; rows sum to 1.

    Cubic convolution, stretched where there are fewer samples than before, so that what is faster is averaged away.

    Parameters
    ----------
    n_from, n_to
        Samples over the same stretch of time.
    bins
        Whether a sample stands for the bin that begins with it (counts) and not for the moment itself.

    References
    ----------
    Keys 1981, IEEE Trans Acoust 29:1153-1160, equation 15 (the kernel, with a = -1/2).
    """
    if n_from == n_to:
        return np.eye(n_from)
    step = n_from / n_to
    half = 0.5 if bins else 0.0
    place = (np.arange(n_to) + half) * step - half
    width = max(1.0, step)
    distance = np.abs(place[:, None] - np.arange(n_from)) / width
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return np.asarray(weights / weights.sum(1, keepdims=True))


@functools.lru_cache(maxsize=256)
def to_base(n_samples: int, base_samples: int, bins: bool) -> NDArray[np.float64]:
    """Return the matrix that brings a patch to its base samples, ``(base_samples, n_samples)``.

    The pseudo-inverse of the resize matrix: the inner product of a patch with a base kernel is that of the resized
    patch with the resized kernel ("PI-resize").

    References
    ----------
    Beyer et al. 2023, FlexiViT, section 3.4.
    """
    return np.asarray(np.linalg.pinv(resize_matrix(base_samples, n_samples, bins=bins)), np.float64)


@functools.lru_cache(maxsize=256)
def from_base(n_samples: int, base_samples: int, bins: bool) -> NDArray[np.float64]:
    """Return the matrix that resamples base samples to those of a recording, ``(n_samples, base_samples)``."""
    return resize_matrix(base_samples, n_samples, bins=bins)


def cut_patches(values: Tensor, n_samples: int) -> Tensor:
    """Return ``(batch, channel, patch, sample)`` of ``(batch, time, channel)``; the last patch is filled up with zeros."""
    lacking = -values.shape[1] % n_samples
    padded = torch.nn.functional.pad(values, (0, 0, 0, lacking)) if lacking else values
    return split_last(padded.transpose(1, 2), n_samples)


def split_last(x: Tensor, size: int) -> Tensor:
    """Return ``(…, n, size)`` of ``(…, n * size)``."""
    return x.reshape(*x.shape[:-1], -1, size)


def join_patches(patches: Tensor, length: int) -> Tensor:
    """Return ``(batch, time, channel)`` of ``(batch, channel, patch, sample)``, without what filled the last patch."""
    return patches.flatten(2).transpose(1, 2)[:, :length]


def as_like(matrix: NDArray[np.float64], like: Tensor) -> Tensor:
    """Return a matrix as a tensor of the type and on the device of another."""
    return torch.from_numpy(matrix).to(like)
