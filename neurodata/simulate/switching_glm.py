"""Counts of coupled units whose signed couplings switch with a hidden Markov state, and the true likelihood of them.

The protocol of Li et al. 2024 (One-hot HMM-GLM, ICLR; repository JerrySoybean/onehot-hmmglm, demo), without a defect
of its simulator: the chain there takes its first step from the last, still empty bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, gammaln, xlog1py, xlogy

from neurodata.checks import check_option, check_positive
from neurodata.errors import NeurodataError

EMISSIONS = ("poisson", "bernoulli", "negative_binomial", "gaussian")
LINKS = ("sigmoid", "softplus", "exp")

_CONCENTRATION = 2.0 * np.array([0.1, 0.8, 0.1])
"""Dirichlet of each edge's chances to be inhibitory, absent or excitatory (demo of Li et al. 2024)."""
_STRONGEST = 3.0
"""Strengths are softplus(log 3u) = log(1 + 3u), u uniform (demo of Li et al. 2024): at most log 4."""
_BIAS = 0.05
_CENTRE = {"sigmoid": 0.0, "softplus": 0.0, "exp": -1.0}
"""About which biases lie: the demo's 0, but rates of 0.4 per bin where nothing bounds them."""
_LARGEST_NORM = {"sigmoid": np.inf, "softplus": 0.8, "exp": 0.5, "identity": 0.8}
"""Spectral norm, of what raises activity, to which couplings are weakened: below 1, bins pass on less than they got,
so it cannot run away (in the mean, for the exponential: 0.5 leaves room for fluctuations). The sigmoid bounds rates."""
_HIGHEST = 500.0
"""Counts per bin; exp(-rate) is not yet 0 there."""


@dataclass(frozen=True, eq=False)
class SimulatedSwitchingGLM:
    """Counts, and the truth behind them.

    Parameters
    ----------
    counts
        Counts per bin (values, for Gaussian emissions), shape ``(sequence, time, unit)``.
    states
        Hidden state of each bin, shape ``(sequence, time)``.
    weights
        Signed couplings in units of the history kernel, shape ``(state, target, source)``.
    prior
        Chances from which each state drew its edges: inhibitory, none, excitatory; shape ``(target, source, 3)``.
    bias
        Input of each unit in all states, shape ``(unit,)``.
    state_bias
        What a state adds to it, shape ``(state, unit)``; 0 unless asked for.
    transition
        Chances from one state (row) to the next, shape ``(state, state)``.
    history
        Weight of the counts 1, 2, … bins ago, shape ``(lag,)``; sums to 1. Bins before the first one are 0.
    emission, link
        Distribution of a bin's values given their mean, and how the mean follows from the input.
    dispersion
        Shape of the negative binomial: its variance is ``mean + mean² / dispersion``.
    noise_sd
        Standard deviation of Gaussian emissions.
    """

    counts: NDArray[np.float32]
    states: NDArray[np.int64]
    weights: NDArray[np.float64]
    prior: NDArray[np.float64]
    bias: NDArray[np.float64]
    state_bias: NDArray[np.float64]
    transition: NDArray[np.float64]
    history: NDArray[np.float64]
    emission: str
    link: str
    dispersion: float
    noise_sd: float

    def log_emission(self, counts: ArrayLike | None = None) -> NDArray[np.float64]:
        """Log likelihood of each bin in each state under the true parameters, summed over units.

        Parameters
        ----------
        counts
            Other counts of the same units, shape ``(sequence, time, unit)``; its own where left out.

        Returns
        -------
        log_emission
            Nats, shape ``(sequence, time, state)``.

        Raises
        ------
        NeurodataError
            If the counts have another shape or number of units.
        """
        values = np.asarray(self.counts if counts is None else counts, np.float64)
        if values.ndim != 3 or values.shape[2] != len(self.bias):
            raise NeurodataError(
                f"expected counts of shape (sequence, time, {len(self.bias)} units), got shape {values.shape}"
            )
        past = _past(values, self.history)
        columns = []
        for weights, state_bias in zip(self.weights, self.state_bias):
            mean = _mean(past @ weights.T + self.bias + state_bias, self.emission, self.link)
            columns.append(self._log_density(values, mean).sum(axis=2))
        return np.stack(columns, axis=2)

    def log_initial(self) -> NDArray[np.float64]:
        """Log chances of the first bin's state, shape ``(state,)``: all the same."""
        return np.full(len(self.transition), -np.log(len(self.transition)))

    def _log_density(self, values: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.emission == "gaussian":
            scaled = (values - mean) / self.noise_sd
            return np.asarray(-0.5 * scaled**2 - np.log(self.noise_sd) - 0.5 * np.log(2 * np.pi))
        if self.emission == "bernoulli":
            return np.asarray(xlogy(values, mean) + xlog1py(1 - values, -mean))
        if self.emission == "poisson":
            return np.asarray(xlogy(values, mean) - mean - gammaln(values + 1))
        shape = self.dispersion
        of_shape = gammaln(values + shape) - gammaln(shape) - gammaln(values + 1)
        return np.asarray(of_shape + xlogy(values, mean / (mean + shape)) - shape * np.log1p(mean / shape))


def simulate_switching_glm(
    n_sequences: int = 50,
    n_bins: int = 2000,
    n_units: int = 20,
    n_states: int = 5,
    seed: int = 0,
    *,
    link: str = "sigmoid",
    emission: str = "poisson",
    history: Sequence[float] | None = None,
    stay: float = 0.98,
    state_bias_sd: float = 0.0,
    dispersion: float = 2.0,
    noise_sd: float = 1.0,
) -> SimulatedSwitchingGLM:
    """Simulate sequences of counts of the same units, each bin drawn from the couplings of its hidden state.

    ``x[t] ~ emission(link(bias + weights[state] · Σ_k history[k] x[t - k]))``. Each edge has chances to be inhibitory,
    absent or excitatory, from which every state draws anew; strengths are drawn for each state too. With links that
    do not bound rates, all couplings are weakened alike until activity cannot run away.

    Parameters
    ----------
    n_sequences, n_bins, n_units, n_states
        How many of each; the defaults are the published ones.
    seed
        The same seed gives the same units and sequences; sequence ``i`` does not depend on how many there are.
    link
        One of `LINKS`. Under a link other than the sigmoid a Bernoulli event has the chance ``1 - exp(-rate)``, that of
        at least one Poisson event. Gaussian values have the input itself as their mean.
    emission
        One of `EMISSIONS`.
    history
        Kernel of the past, shape ``(lag,)``, normalised to sum 1. Left out, it is ``exp(-k)``, k = 1 … 5.
    stay
        Chance to stay in a state; all others are equally likely next.
    state_bias_sd
        Spread of what each state adds to each unit's input, for states that differ without history.
    dispersion, noise_sd
        Of negative binomial and of Gaussian emissions, see `SimulatedSwitchingGLM`.

    Returns
    -------
    simulated
        Counts with their truth.

    Raises
    ------
    NeurodataError
        If a number or a name cannot be meant, or rates run away.

    References
    ----------
    Li et al. 2024, ICLR, synthetic data: 5 states, 20 units, 5 bins of history, 50 sequences of 2000 bins, Dirichlet
    and strengths as above, biases uniform within ±0.05, stay 0.98; mean rate about 0.5 per bin.
    """
    check_option("emission", emission, EMISSIONS)
    check_option("link", link, LINKS)
    _check_numbers(n_sequences, n_bins, n_units, n_states, stay)
    for what, value in (("option 'dispersion'", dispersion), ("option 'noise_sd'", noise_sd)):
        check_positive(what, value)
    if state_bias_sd < 0:
        raise NeurodataError(f"option 'state_bias_sd' must be 0 or more, got {state_bias_sd}")
    kernel = _make_kernel(history)
    of_units, of_sequences = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.default_rng(of_units)
    signed = emission == "gaussian"
    norm = _LARGEST_NORM["identity" if signed else link]
    prior, weights = _draw_couplings(n_units, n_states, norm, rng, signed=signed)
    centre = 0.0 if signed else _CENTRE[link]
    bias = centre + rng.uniform(-_BIAS, _BIAS, n_units)
    state_bias = state_bias_sd * rng.standard_normal((n_states, n_units))
    transition = np.full((n_states, n_states), (1 - stay) / max(1, n_states - 1))
    np.fill_diagonal(transition, stay if n_states > 1 else 1.0)
    streams = [tuple(map(np.random.default_rng, stream.spawn(3))) for stream in of_sequences.spawn(n_sequences)]
    states = _run_chains(np.stack([of_chain.random(n_bins) for of_chain, _, _ in streams]), transition)
    size = (n_bins, n_units)
    if emission == "gaussian":
        noise = np.stack([noise_sd * of_noise.standard_normal(size) for _, of_noise, _ in streams], axis=1)
    else:
        noise = np.stack([of_noise.random(size) for _, of_noise, _ in streams], axis=1)
    spread = np.ones((n_bins, 1, 1))
    if emission == "negative_binomial":  # a Poisson whose rate is gamma distributed
        drawn = [of_spread.gamma(dispersion, 1 / dispersion, size) for _, _, of_spread in streams]
        spread = np.stack(drawn, axis=1)
    values = _run_units(states, weights, bias + state_bias, kernel, noise, spread, emission, link)
    return SimulatedSwitchingGLM(
        counts=np.ascontiguousarray(values.transpose(1, 0, 2), np.float32), states=states, weights=weights,
        prior=prior, bias=bias, state_bias=state_bias, transition=transition, history=kernel, emission=emission,
        link=link, dispersion=float(dispersion), noise_sd=float(noise_sd),
    )  # fmt: skip


def _check_numbers(n_sequences: int, n_bins: int, n_units: int, n_states: int, stay: float) -> None:
    named = {"sequences": n_sequences, "bins": n_bins, "units": n_units, "states": n_states}
    for what, value in named.items():
        check_positive(f"number of {what}", value)
    if not 0 <= stay <= 1:
        raise NeurodataError(f"option 'stay' is the chance to stay in a state, from 0 to 1, got {stay}")


def _make_kernel(history: Sequence[float] | None) -> NDArray[np.float64]:
    kernel = np.exp(-np.arange(1, 6)) if history is None else np.asarray(history, np.float64)
    if kernel.ndim != 1 or not len(kernel) or not np.isfinite(kernel).all() or not kernel.sum() > 0:
        raise NeurodataError(f"expected a history of one or more finite weights with a positive sum, got {history!r}")
    return np.asarray(kernel / kernel.sum())


def _draw_couplings(
    n_units: int, n_states: int, largest_norm: float, rng: np.random.Generator, *, signed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chances of each edge, and the signed couplings of each state drawn from them."""
    prior = rng.dirichlet(_CONCENTRATION, (n_units, n_units))
    shape = (n_states, n_units, n_units)
    sign = (rng.random(shape)[..., None] > prior.cumsum(axis=2)[:, :, :2]).sum(axis=3) - 1
    weights = sign * np.log1p(_STRONGEST * rng.random(shape))
    # Inhibition cannot push rates below 0; of Gaussian values both signs count.
    raising = weights if signed else weights.clip(0)
    norm = float(np.linalg.norm(raising, ord=2, axis=(1, 2)).max())
    return prior, weights * min(1.0, largest_norm / norm) if norm > 0 else weights


def _run_chains(chance: NDArray[np.float64], transition: NDArray[np.float64]) -> NDArray[np.int64]:
    """States of all sequences from uniform numbers, shape ``(sequence, time)``; the first one is any."""
    n_states = len(transition)
    above = transition.cumsum(axis=1)[:, :-1]
    states = np.empty(chance.shape, np.int64)
    states[:, 0] = chance[:, 0] * n_states
    for at in range(1, chance.shape[1]):
        states[:, at] = (chance[:, at, None] > above[states[:, at - 1]]).sum(axis=1)
    return states


def _run_units(
    states: NDArray[np.int64],
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    kernel: NDArray[np.float64],
    noise: NDArray[np.float64],
    spread: NDArray[np.float64],
    emission: str,
    link: str,
) -> NDArray[np.float64]:
    """Values bin by bin, shape ``(time, sequence, unit)``."""
    n_bins, n_lags = len(noise), len(kernel)
    values = np.zeros((n_bins + n_lags, *noise.shape[1:]))
    latest_last = kernel[::-1]
    for at in range(n_bins):
        now = states[:, at]
        past = np.tensordot(latest_last, values[at : at + n_lags], 1)
        mean = _mean((weights[now] @ past[:, :, None])[:, :, 0] + bias[now], emission, link)
        if emission == "gaussian":
            values[at + n_lags] = mean + noise[at]
        elif emission == "bernoulli":
            values[at + n_lags] = noise[at] < mean
        else:
            values[at + n_lags] = _invert_poisson(noise[at], mean * spread[at])
    return values[n_lags:]


def _invert_poisson(chance: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest counts whose cumulative chance reaches ``chance``."""
    if rate.max() > _HIGHEST:
        raise NeurodataError(
            f"simulated rates run away (over {_HIGHEST:g} per bin); choose the link 'sigmoid', another seed or fewer units"
        )
    counts = np.zeros_like(rate)
    term = np.exp(-rate)
    below = term.copy()
    count = 0
    # Rounding may keep the sum below a chance next to 1: no term is left then.
    while (more := (below < chance) & (term > 0)).any():
        count += 1
        counts[more] = count
        term = term * (rate / count)
        below += term
    return counts


def _past(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter what came before each bin, shape ``(sequence, time, unit)``; nothing came before the first."""
    past = np.zeros_like(values)
    for lag, weight in enumerate(kernel, 1):
        past[:, lag:] += weight * values[:, :-lag]
    return past


def _mean(value: NDArray[np.float64], emission: str, link: str) -> NDArray[np.float64]:
    if emission == "gaussian":
        return value
    if link == "sigmoid":
        return np.asarray(expit(value))
    rate = np.logaddexp(0.0, value) if link == "softplus" else np.exp(value)
    return -np.expm1(-rate) if emission == "bernoulli" else rate
