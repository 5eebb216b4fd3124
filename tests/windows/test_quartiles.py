"""Quartiles found digit by digit are those of a sort, whatever the values, and need little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.windows.quartiles import quartiles

FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45])
PIECES = st.lists(
    st.integers(1, 3).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(FLOATS, min_size=n, max_size=n), max_size=12),
            st.lists(st.integers(0, 3), min_size=n, max_size=n),
        )
    ),
    min_size=1,
    max_size=4,
)


def sorted_quartiles(pieces, n_ids):
    """The same by numpy, from all values of an id at once."""
    expected = np.full((3, n_ids), np.nan)
    for wanted in range(n_ids):
        values = np.concatenate([v[:, ids == wanted].astype(np.float32).ravel() for v, ids in pieces])
        values = np.sort(values[np.isfinite(values)])
        if values.size:  # numpy's own inverted_cdf, in whole numbers
            expected[:, wanted] = values[[(k * values.size + 3) // 4 - 1 for k in (1, 2, 3)]]
    return expected


@given(PIECES)
def test_property_quartiles_are_those_of_sorted_values(made):
    pieces = [(np.array(rows, np.float32).reshape(len(rows), len(ids)), np.array(ids)) for rows, ids in made]
    np.testing.assert_array_equal(quartiles(lambda: pieces, 5), sorted_quartiles(pieces, 5))


def test_the_definition_is_numpys_inverted_cdf():
    values = np.random.default_rng(0).normal(size=(1001, 2)).astype(np.float32)
    expected = np.quantile(values, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(quartiles(lambda: [(values, np.arange(2))], 2), expected)


@pytest.mark.parametrize("n_channels", [1, 3, 700], ids="{} channels".format)
def test_a_piece_of_many_blocks_is_as_one(n_channels):
    rng = np.random.default_rng(1)
    values = (1000 + rng.normal(size=(2_200_000 // n_channels, n_channels))).astype(np.float32)
    values[5::7, 0] = np.nan
    ids = np.arange(n_channels)
    np.testing.assert_array_equal(
        quartiles(lambda: [(values, ids)], n_channels), sorted_quartiles([(values, ids)], n_channels)
    )


def test_a_piece_larger_than_memory_is_read_block_by_block(tmp_path):
    values = np.lib.format.open_memmap(tmp_path / "values.npy", "w+", np.float32, (4_000_000, 8))
    values[: 3 * len(values) // 4] = np.arange(8)
    tracemalloc.start()
    try:
        found = quartiles(lambda: [(values, np.arange(8))], 8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found[1], np.arange(8))
    assert peak < 60e6 < values.nbytes / 2
