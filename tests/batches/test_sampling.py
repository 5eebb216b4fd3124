"""Orders of windows: what they promise for any seed, epoch, position and number of processes."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.batches.groups import group_windows
from neurodata.batches.ordering import random_words, shuffled
from neurodata.batches.sampling import CoveringWindows, DrawnWindows, ShuffledWindows, StreamedWindows
from neurodata.errors import NeurodataError
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch

STRETCHES = [
    Stretch("eeg/a", 0, 200),
    Stretch("eeg/b", 0, 40),
    Stretch("fmri/c", 10, 120),
    Stretch("eeg/b", 50, 90),
    Stretch("fmri/d", 0, 30),
]
WINDOWS = make_windows(STRETCHES, 1.0, 10.0, 5.0)
SUBJECTS = {"eeg/a": "s1", "eeg/b": "s2", "fmri/c": "s1", "fmri/d": "s3"}
KINDS = {name: name.split("/")[0] for name in SUBJECTS}
RECORDINGS = WINDOWS.locate_many(np.arange(len(WINDOWS)))[0]

ORDERS = {
    "drawn": lambda windows, **rank: DrawnWindows(windows, 90, 3, **rank),
    "balanced": lambda windows, **rank: DrawnWindows(windows, 90, 3, balance="recording", **rank),
    "shuffled": lambda windows, **rank: ShuffledWindows(windows, 3, **rank),
    "covering": lambda windows, **rank: CoveringWindows(windows, **rank),
    "streamed": lambda windows, **rank: StreamedWindows(windows, 3, block_windows=6, buffer_blocks=3, **rank),
}
every_order = pytest.mark.parametrize("name", ORDERS)


def windows_for(name):
    return WINDOWS if name == "covering" else WINDOWS.with_jitter(2)


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


@settings(max_examples=50)
@given(first=st.integers(0, 300), length=st.integers(0, 200), item=st.integers(0, 2**40))
def test_property_words_do_not_depend_on_where_one_begins(first, length, item):
    everything = random_words(-7, 5, 2, 0, 600, item)
    assert np.array_equal(random_words(-7, 5, 2, first, first + length, item), everything[first : first + length])


def test_words_differ_by_seed_epoch_stream_and_item():
    base = (1, 2, 3, 0, 8, 4)
    others = [(9, 2, 3, 0, 8, 4), (1, 9, 3, 0, 8, 4), (1, 2, 9, 0, 8, 4), (1, 2, 3, 0, 8, 9), base]
    assert len({tuple(random_words(*arguments).tolist()) for arguments in others}) == 5


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 2**16, 2**16 + 1, 100_003, 257**2 + 1])
def test_a_shuffle_is_a_permutation(n):
    found = shuffled(np.arange(n), n, 1, 2, 3)
    assert np.array_equal(np.sort(found), np.arange(n))
    assert np.array_equal(found[n // 3 :], shuffled(np.arange(n // 3, n), n, 1, 2, 3))


@pytest.mark.parametrize("n", [2**16, 100_003])
def test_a_shuffle_looks_random(n):
    found = shuffled(np.arange(n), n, 1, 2, 3)
    assert abs(np.corrcoef(np.arange(n), found)[0, 1]) < 4 / np.sqrt(n)
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4 / np.sqrt(n)
    in_tenths = np.histogram2d(np.arange(n), found, bins=10)[0]
    chi_squared = ((in_tenths - n / 100) ** 2 / (n / 100)).sum()
    assert 40 < chi_squared < 140  # 81 degrees of freedom: mean 81, deviation 12.7
    assert np.mean(found == shuffled(np.arange(n), n, 1, 3, 3)) < 10 / n


@every_order
def test_an_order_depends_on_seed_and_epoch_only(name):
    one, other = (ORDERS[name](windows_for(name)) for _ in range(2))
    epochs = [epoch_of(one, epoch) for epoch in range(3)]
    assert epoch_of(other, 2) == epochs[2]
    assert epoch_of(other, 0) == epochs[0]
    assert all(len(found) == len(one) for found in epochs)
    if name != "covering":
        assert epochs[0] != epochs[1] != epochs[2]
    assert all(type(index) is int for index in epochs[0])


@every_order
@pytest.mark.parametrize("position", [0, 1, 17, 30])
def test_a_resumed_order_goes_on_as_it_would_have(name, position):
    sampler = ORDERS[name](windows_for(name))
    expected, following = epoch_of(sampler, 4), epoch_of(sampler, 5)
    resumed = ORDERS[name](windows_for(name))
    resumed.load_state_dict({**sampler.state_dict(), "epoch": 4, "position": position})
    resumed.set_epoch(4)
    assert resumed.state_dict()["position"] == position
    assert list(resumed) == expected[position:]
    assert epoch_of(resumed, 5) == following
    resumed.load_state_dict({**sampler.state_dict(), "epoch": 4, "position": len(sampler)})
    assert (resumed.epoch, resumed.position) == (5, 0)
    resumed.load_state_dict({**sampler.state_dict(), "epoch": 4, "position": position})
    assert epoch_of(resumed, 5) == following


@every_order
def test_a_state_of_another_order_is_refused(name):
    sampler = ORDERS[name](windows_for(name))
    state = sampler.state_dict()
    others = make_windows(STRETCHES[1:], 1.0, 10.0, 5.0)
    with pytest.raises(NeurodataError, match=r"another order of windows.*\n  - digest of the windows: '"):
        ORDERS[name](others).load_state_dict(state)
    with pytest.raises(NeurodataError, match=r"\n  - world_size: 1 then, 2 now"):
        ORDERS[name](windows_for(name), rank=0, world_size=2).load_state_dict(state)
    if name != "balanced":
        other = ORDERS["balanced" if name == "drawn" else "drawn"](windows_for(name))
        with pytest.raises(NeurodataError, match=r"\n  - (groups|kind): '"):
            other.load_state_dict(state)


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.lists(st.integers(4, 80), min_size=1, max_size=5),
    world_size=st.integers(1, 4),
    jitter=st.integers(0, 2),
    block_windows=st.one_of(st.none(), st.integers(1, 30)),
    buffer_blocks=st.integers(1, 6),
    seed=st.integers(0, 5),
)
def test_property_each_window_comes_once_and_no_process_gets_anothers(
    seconds, world_size, jitter, block_windows, buffer_blocks, seed
):
    plain = make_windows([Stretch(f"a/{i}", 0, s) for i, s in enumerate(seconds)], 1.0, 4.0, 2.0)
    windows = plain.with_jitter(jitter)
    rank = [{"rank": rank, "world_size": world_size} for rank in range(world_size)]
    blocks = {"block_windows": block_windows, "block_samples": 12, "buffer_blocks": buffer_blocks}
    for make in (
        lambda **rank: ShuffledWindows(windows, seed, **rank),
        lambda **rank: StreamedWindows(windows, seed, **blocks, **rank),
    ):
        shares = [list(make(**one)) for one in rank]
        assert {len(share) for share in shares} == {len(plain) // world_size}
        found = [index // (2 * jitter + 1) for share in shares for index in share]
        assert len(set(found)) == len(found) == len(plain) // world_size * world_size
        assert set(found) <= set(range(len(plain)))
    shares = [list(CoveringWindows(plain, **one)) for one in rank]
    assert [index for share in shares for index in share] == list(range(len(plain)))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_two_processes_with_half_batches_draw_what_one_does():
    one = list(DrawnWindows(WINDOWS, 90, 3))
    halves = [list(DrawnWindows(WINDOWS, 45, 3, rank=rank, world_size=2)) for rank in range(2)]
    assert [index for pair in zip(*halves) for index in pair] == one


def test_shifts_are_drawn_evenly_and_anew():
    windows = WINDOWS.with_jitter(2)
    for make in (lambda: ShuffledWindows(windows, 0), lambda: StreamedWindows(windows, 0)):
        shifts = np.array([np.argsort(np.array(epoch_of(make(), epoch)) // 5) * 0 + np.array(epoch_of(make(), epoch)) % 5 for epoch in range(60)])  # fmt: skip
        counts = np.bincount(shifts.ravel(), minlength=5)
        assert np.all(np.abs(counts - shifts.size / 5) < 5 * np.sqrt(shifts.size * 0.16))


def assert_shares(found, expected):
    """Counts within five standard deviations of what is expected."""
    total = sum(found.values())
    assert set(found) == {name for name, share in expected.items() if share}
    for name, share in expected.items():
        deviation = np.sqrt(total * share * (1 - share))
        assert abs(found.get(name, 0) - total * share) <= 5 * deviation, (name, found)


def drawn_counts(names, **options):
    found = np.array(list(DrawnWindows(WINDOWS, 20_000, 0, **options)))
    assert found.min() >= 0
    assert found.max() < len(WINDOWS)
    values, counts = np.unique(np.asarray(names)[found], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist()))


ids = np.array(WINDOWS.recording_ids)[RECORDINGS]


def test_windows_are_drawn_evenly_unless_said_otherwise():
    assert_shares(drawn_counts(range(len(WINDOWS))), dict.fromkeys(range(len(WINDOWS)), 1 / len(WINDOWS)))


def test_balanced_drawing():
    assert_shares(drawn_counts(ids, balance="recording"), dict.fromkeys(SUBJECTS, 1 / 4))
    subjects = [SUBJECTS[name] for name in ids]
    assert_shares(
        drawn_counts(subjects, balance="subject", subjects=SUBJECTS), dict.fromkeys(("s1", "s2", "s3"), 1 / 3)
    )
    labels = np.array(["", "left", "right", "left", "left"])[np.arange(len(WINDOWS)) % 5]
    assert_shares(drawn_counts(labels, balance="class", labels=labels), {"left": 0.5, "right": 0.5, "": 0})
    codes = np.arange(len(WINDOWS)) % 3 - 1
    assert_shares(drawn_counts(codes, balance="class", labels=codes), {0: 0.5, 1: 0.5, -1: 0})
    inside = group_windows(WINDOWS, balance="recording")
    per_window = dict(zip(*np.unique(list(DrawnWindows(WINDOWS, 20_000, 0, balance="recording")), return_counts=True)))
    expected = {i: 1 / 4 / inside.sizes[RECORDINGS[i]] for i in range(len(WINDOWS))}
    assert_shares(per_window, expected)


def test_proportions_of_kinds():
    kinds = [KINDS[name] for name in ids]
    for wanted in ({"eeg": 1, "fmri": 1}, {"eeg": 0.3, "fmri": 0.1}, {"eeg": 0, "fmri": 2.0}):
        total = sum(wanted.values())
        expected = {name: share / total for name, share in wanted.items()}
        assert_shares(drawn_counts(kinds, proportions=wanted, kinds=KINDS), expected)
    both = drawn_counts(ids, proportions={"eeg": 0.2, "fmri": 0.8}, kinds=KINDS, balance="recording")
    assert_shares(both, {"eeg/a": 0.1, "eeg/b": 0.1, "fmri/c": 0.4, "fmri/d": 0.4})
    groups = group_windows(WINDOWS, proportions={"eeg": 0.2, "fmri": 0.8}, kinds=KINDS, balance="recording")
    assert groups.names == ("eeg/eeg/a", "eeg/eeg/b", "fmri/fmri/c", "fmri/fmri/d")
    np.testing.assert_allclose(groups.shares, [0.1, 0.1, 0.4, 0.4])


def test_balanced_drawing_with_shifts():
    windows = WINDOWS.with_jitter(3)
    found = np.array(list(DrawnWindows(windows, 20_000, 0, balance="recording")))
    assert_shares(dict(zip(*np.unique(found % 7, return_counts=True))), dict.fromkeys(range(7), 1 / 7))
    counts = np.bincount(RECORDINGS[found // 7])
    assert_shares(dict(enumerate(counts.tolist())), dict.fromkeys(range(4), 1 / 4))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"balance": "recordings"}, "no balance 'recordings'; did you mean 'recording'"),
        ({"balance": "subject"}, r"4 recordings have no subject, for example eeg/a; give subjects=\{recording id"),
        ({"balance": "class"}, r"needs labels=…, one per window, 79 of them; got \(0,\)"),
        ({"balance": "class", "labels": np.full(79, -1)}, "no window has a class"),
        ({"proportions": {"eeg": 1}, "kinds": {"eeg/a": "eeg"}}, "3 recordings have no kind, for example eeg/b"),
        ({"proportions": {"eeg": 1}, "kinds": KINDS}, r"for each kind there is \(eeg, fmri\); got \{'eeg': 1\}"),
        ({"proportions": {"eeg": 1, "fmri": 0, "meg": 1}, "kinds": KINDS}, r"for each kind there is \(eeg, fmri\)"),
        ({"proportions": {"eeg": 1, "fmri": -1}, "kinds": KINDS}, "numbers of 0 or more"),
        ({"proportions": {"eeg": 0, "fmri": 0}, "kinds": KINDS}, "one above 0"),
    ],
)
def test_impossible_shares_are_refused(options, text):
    with pytest.raises(NeurodataError, match=text):
        DrawnWindows(WINDOWS, 10, 0, **options)


def test_impossible_orders_are_refused():
    with pytest.raises(NeurodataError, match="give the windows and not only their number"):
        DrawnWindows(100, 10, 0, balance="recording")
    with pytest.raises(NeurodataError, match=r"say what is balanced"):
        group_windows(WINDOWS)
    with pytest.raises(NeurodataError, match="n_drawn must be a positive number, got 0"):
        DrawnWindows(100, 0, 0)
    with pytest.raises(NeurodataError, match="number of windows must be a positive number, got 0"):
        ShuffledWindows(0, 0)
    with pytest.raises(NeurodataError, match="windows with jitter are for drawing"):
        CoveringWindows(WINDOWS.with_jitter(1))
    with pytest.raises(NeurodataError, match="processes are numbered from 0 to 1, got rank 2"):
        ShuffledWindows(WINDOWS, 0, rank=2, world_size=2)
    with pytest.raises(NeurodataError, match="block_windows must be a positive number, got 0"):
        StreamedWindows(WINDOWS, 0, block_windows=0)


MANY = make_windows([Stretch(f"a/{i:03}", 0.0, 2000.0) for i in range(40)], 1.0, 10.0, 10.0)
"""8000 windows of forty recordings."""


@pytest.mark.parametrize("jitter", [0, 3])
@pytest.mark.parametrize("world_size", [1, 3])
def test_streamed_windows_open_few_blocks_at_a_time_and_each_once(jitter, world_size):
    samplers = [
        StreamedWindows(MANY.with_jitter(jitter), 1, block_samples=500, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for sampler in samplers:
        order = np.array(epoch_of(sampler, 2)) // sampler.n_shifts
        block = np.searchsorted(sampler.block_begin, order, side="right") - 1
        assert len(np.unique(block[:32])) == 4
        opened = np.sort([np.flatnonzero(block == number)[0] for number in np.unique(block)])
        closed = np.sort([np.flatnonzero(block == number)[-1] for number in np.unique(block)])
        still_open = np.arange(1, len(opened) + 1) - np.searchsorted(closed, opened)
        # A block on the border of two processes' shares may be divided in itself.
        assert still_open.max() <= 4 + (world_size > 1)
        assert np.diff(sampler.block_begin).max() <= 52
    together = np.concatenate([np.unique(np.searchsorted(s.block_begin, np.array(epoch_of(s, 2)) // s.n_shifts, side="right") - 1) for s in samplers])  # fmt: skip
    assert len(together) <= len(np.unique(together)) + world_size - 1


@pytest.mark.parametrize("position", [0, 64, 1600])
def test_what_is_announced_holds_all_that_is_used_and_each_block_once(position):
    sampler = StreamedWindows(MANY, 1, block_windows=50)
    announced, counts = set(), np.zeros(len(MANY), int)
    for first in range(position, len(sampler), 32):
        after = min(first + 32, len(sampler))
        new = sampler.announced(7, first, after, begun=first > position)
        counts[new] += 1
        announced |= set(new.tolist())
        assert set(sampler.indices(7, first, after).tolist()) <= announced
        if first == position:
            assert 150 <= len(new) <= 200
    assert counts.max() == 1


def test_streamed_windows_are_mixed():
    order = np.array(list(StreamedWindows(MANY, 1, block_windows=50)))
    recordings = MANY.locate_many(order)[0]
    per_batch = [len(np.unique(recordings[i : i + 32])) for i in range(0, len(order) - 32, 32)]
    assert np.mean(per_batch) > 3.5
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.3


@pytest.mark.parametrize("name", ["drawn", "shuffled", "covering", "streamed"])
def test_ten_thousand_recordings_cost_little_memory(name):
    stretches = [Stretch(f"a/{i:05}", 0.0, 600.0) for i in range(10_000)]
    windows = make_windows(stretches, 256.0, 2.0, 2.0 if name == "streamed" else None)
    orders = {**ORDERS, "streamed": lambda windows: StreamedWindows(windows, 3)}
    tracemalloc.start()
    sampler = orders[name](windows)
    begun = time.perf_counter()
    first = [index for index, _ in zip(sampler, range(64))]
    seconds = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(first)) == 64
    assert max(first) < len(windows)
    assert peak < 60e6, f"{peak} bytes"
    assert seconds < 5


@every_order
def test_an_order_made_before_processes_were_started_is_dealt_to_them(name):
    for rank in range(2):
        dealt, made_there = ORDERS[name](windows_for(name)), ORDERS[name](windows_for(name), rank=rank, world_size=2)
        list(dealt)
        dealt.set_epoch(0)
        dealt.deal(rank, 2)
        assert len(dealt) == len(made_there)
        assert list(dealt) == list(made_there)
        assert dealt.state_dict() == made_there.state_dict()
