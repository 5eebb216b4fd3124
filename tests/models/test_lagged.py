"""Slopes, shares of homologues, and the lagged readout: known values."""

from __future__ import annotations

import pytest
import torch

from neurodata.models.layers.lagged import LaggedReadout, group_share, slope
from neurodata.models.network import make_inputs


def test_the_slope_of_a_line_is_its_steepness_up_to_both_ends():
    values = (2.5 * torch.arange(12) / 3.0)[None, :, None]
    found = slope(values, torch.ones_like(values, dtype=torch.bool), 3.0)
    torch.testing.assert_close(found, torch.full_like(values, 2.5))


def test_the_slope_is_0_where_either_end_is_not_visible():
    """A hidden value stands as 0: the step down to it is no slope."""
    values, visible = torch.full((1, 12, 1), 5.0), torch.ones(1, 12, 1, dtype=torch.bool)
    values[0, 6], visible[0, 6] = 0.0, False
    assert not slope(values, visible, 3.0).any()


def test_homologues_share_one_weight_and_unknown_channels_have_none(spec):
    ids = torch.tensor([[1, 2, 3, 0, 0]])  # two of one group, one of another, two unknown
    assert group_share(torch.tensor(spec.group_ids), ids).tolist() == [[0.5, 0.5, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize(("lag", "moved"), [(-1.0, 3), (0.0, 0), (2.0, -6)])
def test_a_lag_reads_earlier_or_later_samples_and_the_ends_beyond(spec, batch_of, lag, moved):
    batch = batch_of(spec, n_windows=1, n_channels=1, missing=0)
    readout = LaggedReadout(spec, 1, lags_seconds=(lag,))
    with torch.no_grad():
        readout.weight[:, 0] = 1.0  # the value; the slope's weight stays 0
        found = readout(make_inputs(batch))[0, :, 0]
    places = (torch.arange(18) - moved).clamp(0, 17)
    torch.testing.assert_close(found, batch.values[0, places, 0])
    assert readout.penalty().item() == readout.weight.shape[0]
