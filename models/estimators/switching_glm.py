"""Hidden states in which units predict each other differently: a switching GLM with a scikit-learn face."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from neurodata.errors import NeurodataError

from ..checkpoints import from_pretrained, read_fit
from ..layers.hmm import viterbi
from ..layers.sequences import Bins, Sequences
from ..tasks.switching import Switching, emissions
from ._switching_checks import check_settings, check_whole
from ._switching_data import names_of, read_connectome, read_sequences, some
from ._switching_fit import fit_all, make_network
from ._switching_read import bias_of, describe_fit, kernels_of, prior_graph_of, take_fit
from ._switching_sample import sample_network
from ._switching_select import score_n_states, summarise

DEAD_SHARE = 0.005
"""A state that explains a smaller share of the bins is called dead."""

TWIN_DISTANCE = 1e-3
"""Two states none of whose parameters differ by more are one state under two names."""


class StateWarning(UserWarning):
    """A state of a fitted model is not used: it explains hardly any bin."""


class SwitchingGLM(BaseEstimator):  # type: ignore[misc]
    """Generalised linear models of all units' next bin, one per hidden state, and the states' Markov chain.

    In state s, unit n of bin t has mean ``link(bias[n] + state_bias[s, n] + Σ_m weights[s, n, m] · past[t, m])``, where
    ``past`` is what each unit did in the last bins, through a filter that sums to 1; before the first bin of a sequence
    it is zero. Fitted by generalised expectation maximisation of all sequences at once, through ``lightning.Trainer``.

    States have no names of their own: compare two fits with `layers.states.match_states`.

    Parameters
    ----------
    n_states
        Hidden states, 2 or more; see ``allow_one_state``.
    prior
        Of the weights. ``none``: free. ``gaussian``: close to a mean over states. ``onehot``: every edge is, in every
        state, inhibitory, absent or excitatory, with chances that all states share (``prior_graph_``, an estimate of
        the anatomy), times a strength; fitted from the best Gaussian fit. ``connectome``: small outside a given graph.
    link
        From drive to events per bin: ``softplus``, ``exp`` or ``sigmoid`` (at most 1 per bin); unused where Gaussian.
    emission
        ``poisson``, ``bernoulli``, ``negative_binomial``, or ``gaussian`` for calcium traces (an autoregression per
        state; units are scaled inside, and all that is reported is in the units of the data).
    history
        ``exponential``: one filter, weights ``exp(-k)``. ``raised_cosine``: ``n_filters`` bumps. ``learned``: one
        kernel per pair of units, shared by the states.
    history_bins
        Bins looked back; 0 leaves a plain hidden Markov model.
    n_filters
        Of ``raised_cosine``.
    self_history
        A unit's own past is an ``edge`` as any other, or has a ``separate`` free filter, or does not count (``none``).
    state_bias
        Whether each state has biases of its own. Left out: where Gaussian or without history only, as published; on
        real data, whose rates change with the state, True is usually better.
    state_covariates, state_variance
        Whether weights of covariates, and Gaussian variances, are each state's own.
    connectome
        For that prior: a table from ``Connectome.matrix`` or an array ``(target, source)``, units in the order of the
        counts. A table is put into that order by name if the counts are xarray tables whose units have text labels. The
        larger an entry, the freer the weight; if some are negative, signs count too; NaN is not known.
    prior_scale
        Standard deviation of weights around their mean over states (of scaled units, where Gaussian).
    n_restarts
        Fits from different first guesses, of which that with the highest training likelihood is kept.
    max_iter
        Most sweeps of each.
    learning_rate, stickiness
        See the task ``switching``.
    allow_twins
        Do not refuse a fit in which two states are the same.
    allow_one_state
        Do not refuse ``n_states=1``: the plain GLM, a baseline that several states should beat.
    accelerator
        As for ``lightning.Trainer``; a GPU pays with hundreds of units.
    random_state
        Seed, or generator, of all that is drawn.

    Attributes
    ----------
    weights_
        Effect of one event per bin through all last bins, ``(state, target, source)``.
    kernels_
        The same by lag, ``(state, target, source, lag)``, the first lag being one bin ago.
    bias_, state_bias_, covariate_weights_
        ``(unit,)``, ``(state, unit)``, ``(state or 1, unit, covariate)``.
    transition_, initial_
        Chances from a state (row) to the next, ``(state, state)``, and of the first state, ``(state,)``.
    prior_graph_
        Chances of each edge to be inhibitory, absent, excitatory, ``(target, source, 3)``. Without one-hot edges: the
        share of states in which its weight is below -0.15, between, above 0.15.
    log_likelihood_
        Of the training data, nats per bin and unit.
    n_iter_
        Sweeps of the fit that was kept.
    restarts_
        One row per fit: prior, seed, sweeps, log likelihood, whether it was kept.
    share_
        Share of the training bins that each state explains, ``(state,)``.
    task_
        What ``save_pretrained(estimator, folder, manifest)`` saves.

    References
    ----------
    Li, Kim, Rodgers, Choi & Wu 2024, ICLR, "One-hot generalized linear model for switching brain state discovery":
    model, exponential history of 5 bins, one-hot prior. Unlike its released code, transitions pool all sequences and
    weights never start from zero, where all states stay alike.
    """

    def __init__(
        self,
        n_states: int = 3,
        *,
        prior: str = "gaussian",
        link: str = "softplus",
        emission: str = "poisson",
        history: str = "exponential",
        history_bins: int = 5,
        n_filters: int = 4,
        self_history: str = "edge",
        state_bias: bool | None = None,
        state_covariates: bool = True,
        state_variance: bool = False,
        connectome: Any = None,
        prior_scale: float = 1 / 3,
        n_restarts: int = 3,
        max_iter: int = 40,
        learning_rate: float = 0.02,
        stickiness: float = 10.0,
        allow_twins: bool = False,
        allow_one_state: bool = False,
        accelerator: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.n_states = n_states
        self.prior = prior
        self.link = link
        self.emission = emission
        self.history = history
        self.history_bins = history_bins
        self.n_filters = n_filters
        self.self_history = self_history
        self.state_bias = state_bias
        self.state_covariates = state_covariates
        self.state_variance = state_variance
        self.connectome = connectome
        self.prior_scale = prior_scale
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.stickiness = stickiness
        self.allow_twins = allow_twins
        self.allow_one_state = allow_one_state
        self.accelerator = accelerator
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def fit(self, counts: Any, covariates: Any = None, *, mask: Any = None) -> Self:
        """Fit weights, chain and all else.

        Parameters
        ----------
        counts
            Events per bin, whole numbers (any values where Gaussian): ``(sequence, time, unit)``, or a list of
            ``(time, unit)`` of any lengths.
        covariates
            Stimuli, behaviour: of the same bins, ``(sequence, time, covariate)`` or a list.
        mask
            True where values are known, as ``counts`` or ``(time,)`` per sequence. What is not known counts for nothing
            in the likelihood, and enters the past as no event (where Gaussian, as the unit's mean).

        Raises
        ------
        NeurodataError
            If the data or a parameter cannot be meant, or two states come out the same.
        """
        check_settings(self)
        sequences = self._read(counts, covariates, mask)
        if self.n_states > (n_bins := int(sequences.lengths.sum())):
            raise NeurodataError(f"n_states={self.n_states} are more than the {n_bins} bins of the counts")
        network = make_network(self, sequences)
        if self.prior == "connectome":
            network.graph.copy_(read_connectome(self.connectome, network.n_units, names_of(counts)))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        bins = network.lay_out(sequences)
        task, self.restarts_ = fit_all(self, network, bins, seed)
        self._take(task)
        states = task.evaluate(bins).states
        self.share_ = states.sum((0, 1)).numpy() / int(sequences.lengths.sum())
        self._check_states()
        return self

    def _read(self, counts: Any, covariates: Any, mask: Any) -> Sequences:
        return read_sequences(counts, covariates, mask, emission=self.emission, history_bins=self.history_bins)

    def _take(self, task: Switching) -> None:
        """Make a fitted task this estimator's, and report it in the units of the data."""
        network, self.task_ = task.network, task
        self.n_features_in_ = network.n_units
        self.kernels_ = kernels_of(network)
        self.weights_ = self.kernels_.sum(-1)
        self.bias_, self.state_bias_, self.covariate_weights_ = bias_of(network, self.weights_)
        self.transition_ = network.log_transition.exp().numpy().copy()
        self.initial_ = network.log_initial.exp().numpy().copy()
        self.prior_graph_ = prior_graph_of(network, self.weights_)
        self.log_likelihood_, self.n_iter_ = float(task.log_likelihood), int(task.n_sweeps)

    def _check_states(self) -> None:
        dead = [state for state, share in enumerate(self.share_) if share < DEAD_SHARE]
        if dead:
            warnings.warn(
                f"states {some(dead)} explain less than {DEAD_SHARE:.1%} of the bins each; the data may "
                "have fewer states: see choose_n_states",
                StateWarning,
                stacklevel=3,
            )
        alive = [state for state in range(self.n_states) if state not in dead]
        twins = [(a, b) for a in alive for b in alive if a < b and self._distance(a, b) < TWIN_DISTANCE]
        if twins and not self.allow_twins:
            raise NeurodataError(
                f"states {twins[0][0]} and {twins[0][1]} came out the same (no parameter differs by {TWIN_DISTANCE:g}): "
                "use fewer states, a larger prior_scale, or allow_twins=True"
            )

    def _distance(self, one: int, other: int) -> float:
        """Largest difference between parameters of two states."""
        parts = [self.task_.network.edges(), self.task_.network.state_bias]
        parts += [
            part for part in (self.task_.network.covariate_weight, self.task_.network.log_variance) if len(part) > 1
        ]
        told = [(part[one] - part[other]).detach().abs() for part in parts if part is not None and part.numel()]
        return max((float(part.max()) for part in told), default=0.0)

    def _lay_out(self, counts: Any, covariates: Any, mask: Any) -> Bins:
        check_is_fitted(self, "task_")
        sequences, network = self._read(counts, covariates, mask), self.task_.network
        n_covariates = network.hyperparameters["n_covariates"]
        if sequences.values.shape[2] != network.n_units or sequences.covariates.shape[2] != n_covariates:
            raise NeurodataError(
                f"fitted to {network.n_units} units and {n_covariates} covariates, got {sequences.values.shape[2]} "
                f"and {sequences.covariates.shape[2]}"
            )
        return network.lay_out(sequences)

    def predict(self, counts: Any, covariates: Any = None, *, mask: Any = None) -> list[NDArray[np.int64]]:
        """Return the likeliest path of states of each sequence (Viterbi), a list of ``(time,)``."""
        bins, network = self._lay_out(counts, covariates, mask), self.task_.network
        paths = viterbi(bins.pad(emissions(network, bins)), network.log_transition, network.log_initial, bins.lengths)
        return [path[:length].numpy() for path, length in zip(paths, bins.lengths.tolist())]

    def predict_proba(self, counts: Any, covariates: Any = None, *, mask: Any = None) -> list[NDArray[np.float32]]:
        """Return the chances of the states given all bins of a sequence, a list of ``(time, state)``."""
        bins = self._lay_out(counts, covariates, mask)
        states = self.task_.posterior(bins).states
        return [chance[:length].numpy() for chance, length in zip(states, bins.lengths.tolist())]

    def score(self, counts: Any, covariates: Any = None, *, mask: Any = None) -> float:
        """Return the log likelihood per bin and unit, nats; higher is better."""
        bins = self._lay_out(counts, covariates, mask)
        total = self.task_.posterior(bins).log_likelihood.double().sum() + bins.base.double().sum()
        return float(total) / bins.n_known

    def sample(
        self, n_bins: int, n_sequences: int = 1, covariates: Any = None, *, random_state: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return data drawn from the model: values ``(sequence, time, unit)`` and their states ``(sequence, time)``.

        Parameters
        ----------
        n_bins, n_sequences
            How many.
        covariates
            For a model with covariates: ``(sequence, time, covariate)``.
        random_state
            Seed, or generator.
        """
        check_is_fitted(self, "task_")
        check_whole("n_bins", n_bins, 1)
        check_whole("n_sequences", n_sequences, 1)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        values, states = sample_network(self.task_.network, n_bins, n_sequences, covariates, seed)
        return values.numpy(), states.numpy()

    def choose_n_states(
        self,
        counts: Any,
        candidates: Sequence[int] = (1, 2, 3, 4, 5, 6),
        covariates: Any = None,
        *,
        mask: Any = None,
        n_folds: int = 5,
    ) -> pd.DataFrame:
        """Return likelihoods of sequences fitted to and held out, for several numbers of states.

        Take the smallest number whose held-out likelihood is within the best one's interval: it often goes on rising
        a little with rare states.

        Parameters
        ----------
        counts, covariates, mask
            As for `fit`; whole sequences are held out.
        candidates
            Numbers of states; 1 is the plain GLM (with a Gaussian prior where this estimator's is one-hot).
        n_folds
            Parts that are held out in turn; at most as many as sequences.

        Returns
        -------
        table
            Columns ``n_states``, ``split`` (``train``, ``held out``), ``value``, ``low``, ``high``: nats per bin and
            unit, mean over folds and two standard errors around it.
        """
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return summarise(score_n_states(self, counts, candidates, covariates, mask, n_folds, seed))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Return a fitted estimator that was saved, with its parameters and what its fit told.

        A generator given as ``random_state``, and the accelerator, are not saved: they come back as the defaults.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint, or it is damaged.
        NeurodataError
            If it is of another model.
        """
        task = from_pretrained(folder)
        if not isinstance(task, Switching):
            raise NeurodataError(f"{str(folder)!r} holds the task {type(task).__name__}, not a switching GLM")
        sizes = {key: value for key, value in task.network.hyperparameters.items() if key in cls().get_params()}
        model = cls(**sizes, learning_rate=task.hparams["learning_rate"], stickiness=task.hparams["stickiness"])
        if model.prior == "connectome":
            model.connectome = task.network.graph.numpy()
        take_fit(model, read_fit(folder))
        model._take(task)
        return model

    def describe_fit(self) -> dict[str, Any]:
        """Return what `save_pretrained` keeps of the fit besides the model, as JSON values."""
        return describe_fit(self)
