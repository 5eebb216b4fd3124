"""What every simulated potential is recorded on top of: 1/f background, rhythms, and the mains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len
from scipy.signal import butter, sosfiltfilt


def make_background(
    n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator, *, slope: float = 1.0
) -> NDArray[np.float64]:
    """Return Gaussian noise whose power falls as ``1 / frequency ** slope``, each channel of unit variance.

    Power is flat below 0.5 Hz, as behind the high-pass of an amplifier. Shape ``(time, channel)``.
    """
    length = next_fast_len(n_samples)
    frequency = np.arange(length // 2 + 1) * (rate_hz / length)
    shape = np.maximum(frequency, 0.5) ** (-slope / 2)
    shape[0] = 0.0
    parts = rng.standard_normal((n_channels, 2, len(shape)))
    noise = irfft((parts[:, 0] + 1j * parts[:, 1]) * shape, n=length, axis=1)[:, :n_samples].T
    return np.asarray(noise / noise.std(axis=0))


def make_rhythm(
    n_samples: int, n_sources: int, band_hz: tuple[float, float], rate_hz: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return independent noise in a band of frequencies, each source of unit variance, shape ``(time, source)``."""
    band = butter(2, band_hz, "bandpass", fs=rate_hz, output="sos")
    rhythm = sosfiltfilt(band, rng.standard_normal((n_samples, n_sources)), axis=0)
    return np.asarray(rhythm / rhythm.std(axis=0))


def make_mains(
    n_samples: int, n_channels: int, line_hz: float, rate_hz: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a sine of the mains' frequency, its amplitude (mean 1) different in each channel, ``(time, channel)``."""
    phase = 2 * np.pi * line_hz * np.arange(n_samples) / rate_hz + rng.uniform(0, 2 * np.pi)
    return np.asarray(np.sin(phase)[:, None] * rng.uniform(0.5, 1.5, n_channels))
