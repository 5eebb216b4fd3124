"""Lazy rows: only those that are asked for are read, and every way of indexing gives what numpy gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

VALUES = np.arange(60, dtype=np.int16).reshape(20, 3)


def made(asked=None):
    def read(first, after):
        if asked is not None:
            asked.append((first, after))
        return VALUES[first:after]

    lazy = lazy_rows(VALUES.shape, np.int16, read)
    return make_signal(lazy, channel_id=["a", "b", "c"], units="uV", rate_hz=10.0)


def test_nothing_is_read_before_it_is_asked_for():
    asked = []
    recording = Recording({}, {"eeg": made(asked)})
    part = recording.signals["eeg"].sel(time=slice(0.5, 0.8)).isel(channel=[0, 2])
    assert asked == []
    np.testing.assert_array_equal(part.values, VALUES[5:8][:, [0, 2]])
    assert asked == [(5, 8)]


def forward(size):
    """Slices with a positive step: xarray itself stumbles over empty ones that run backwards."""
    return st.slices(size).filter(lambda chosen: (chosen.step or 1) > 0)


@given(st.data())
def test_indexing_is_numpy_s(data):
    rows = data.draw(
        st.one_of(
            forward(20),
            st.lists(st.integers(-20, 19), max_size=8).map(lambda found: np.array(found, int)),
            st.integers(-20, 19),
        )
    )
    columns = data.draw(st.one_of(forward(3), st.lists(st.integers(0, 2), max_size=4).map(lambda c: np.array(c, int))))
    expected = VALUES[rows][..., columns]
    np.testing.assert_array_equal(made().variable.isel(time=rows, channel=columns).values, expected, strict=True)


def test_a_reader_that_gives_another_shape_is_a_mistake_of_ours():
    lazy = lazy_rows((10, 2), np.float32, lambda first, after: np.zeros((1, 2)))
    with pytest.raises(AssertionError, match="read \\(1, 2\\) where \\(10, 2\\) was asked for"):
        make_signal(lazy, channel_id=["a", "b"], units="V", rate_hz=1.0).values  # noqa: B018
