"""Contracts of hidden states, as those of `mutations`; see `mutate_contracts.py`."""

from __future__ import annotations

from mutations import Mutation

_SWITCHING = "tests/models/test_switching_estimator.py"

STATE_MUTATIONS = (
    Mutation(
        "two states that came out the same are not refused", "models/estimators/switching_glm.py",
        "if twins and not self.allow_twins:", "if False:",
        (f"{_SWITCHING}::test_states_that_come_out_the_same_are_refused",),
    ),
    Mutation(
        "one state is fitted unasked", "models/estimators/_switching_checks.py",
        "if not estimator.allow_one_state:", "if False:",
        (f"{_SWITCHING}::test_one_state_is_the_plain_glm_that_more_states_beat",),
    ),
    Mutation(
        "states start alike", "models/estimators/_switching_start.py",
        "noisy.add_(NOISE * torch", "noisy.add_(0 * torch",
        ("tests/models/test_switching_glm.py::test_states_start_apart_around_the_one_state_model",),
    ),
    Mutation(
        "transitions come from the first sequence alone", "models/layers/hmm_scan.py",
        "    if inexact.any():\n        left.view(block, n_states, n_sequences, -1)[:, :, inexact] = 0",
        "    left.view(block, n_states, n_sequences, -1)[:, :, 1:] = 0",
        ("tests/models/test_hmm.py::test_pairs_of_several_sequences_are_summed",),
    ),
    Mutation(
        "the likeliest path forgets the chances of its first state", "models/layers/hmm_logs.py",
        "scores[0] = log_initial + seen[0]", "scores[0] = seen[0]",
        ("tests/models/test_hmm.py::test_everything_equals_going_through_all_paths",),
    ),
    Mutation(
        "the prior of one-hot edges is that of the first state", "models/layers/edges.py",
        "(kinds.sum(0) + pseudo_count", "(kinds[0] + pseudo_count",
        ("tests/models/test_switching_glm.py::test_the_prior_of_an_edge_is_between_its_own_shares_and_everyone_s",),
    ),
)  # fmt: skip
