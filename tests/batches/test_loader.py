"""Loaders give the same batches however they are made, and go on exactly where they stood."""

from __future__ import annotations

import itertools
import json
import threading
import time

import pytest
import torch
from torch.utils.data import Dataset, RandomSampler

from neurodata.batches.loader import WindowLoader
from neurodata.batches.sampling import CoveringWindows, DrawnWindows, ShuffledWindows, StreamedWindows
from neurodata.errors import NeurodataError
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch

WINDOWS = make_windows([Stretch("a/b", 0, 60), Stretch("a/c", 0, 45)], 1.0, 5.0, 2.0)


class Numbers(Dataset):
    """Windows that say which ones they are."""

    def __init__(self, windows=WINDOWS, fingerprint="as they were"):
        self.windows, self.fingerprint = windows, fingerprint

    def __len__(self):
        return len(self.windows)

    def __getitems__(self, indices):
        return torch.tensor(indices)


class Far(Numbers):
    """Windows that must be fetched before they can be used."""

    def __init__(self, damaged=(), seconds=0.0):
        super().__init__()
        self.damaged, self.seconds = set(damaged), seconds
        self.near, self.calls, self.threads, self.lock = set(), [], set(), threading.Lock()

    def __getstate__(self):
        return {**self.__dict__, "lock": None}

    def fetch(self, indices):
        time.sleep(self.seconds)
        with self.lock:
            self.threads.add(threading.current_thread().name)
            self.calls.append(list(indices))
            if self.damaged & set(indices):
                raise OSError(f"{sorted(self.damaged & set(indices))} cannot be fetched")
            self.near |= set(indices)

    def __getitems__(self, indices):
        assert torch.utils.data.get_worker_info() is not None or set(indices) <= self.near
        return super().__getitems__(indices)


ORDERS = {
    "drawn": lambda: DrawnWindows(WINDOWS, 42, 3),
    "shuffled": lambda: ShuffledWindows(WINDOWS, 3),
    "covering": lambda: CoveringWindows(WINDOWS),
    "streamed": lambda: StreamedWindows(WINDOWS, 3, block_windows=5),
}
STARTS = [(0, None), (1, "fork"), (2, "fork"), (2, "spawn"), (1, "forkserver")]


def as_they_are(batch):
    return batch


def loader_of(order="drawn", dataset=None, workers=0, start=None, **options):
    return WindowLoader(
        Numbers() if dataset is None else dataset,
        8,
        sampler=ORDERS[order](),
        collate_fn=as_they_are,
        num_workers=workers,
        multiprocessing_context=start,
        **options,
    )


def rows(batches):
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize(("workers", "start"), STARTS)
def test_workers_change_nothing_and_a_resumed_loader_goes_on_exactly(workers, start):
    plain = loader_of()
    expected = [rows(plain), rows(plain)]
    assert expected[0] != expected[1]
    loader = loader_of(workers=workers, start=start, persistent_workers=workers > 0)
    found, states = [], []
    for batch in loader:
        found.append(batch.tolist())
        states.append(loader.state_dict())
    assert found == expected[0]
    assert rows(loader) == expected[1]
    resumed = loader if start in ("spawn", "forkserver") else loader_of(workers=workers, start=start)
    for number in (1, 4, len(states) - 1):  # such workers take seconds to start, so they are used again
        resumed.load_state_dict(json.loads(json.dumps(states[number])))
        assert rows(resumed) == (expected[0][number + 1 :] or expected[1])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_every_order_is_resumed_at_every_batch(order, drop_last):
    loader = loader_of(order, drop_last=drop_last)
    epochs, states = [], [loader.state_dict()]
    for _ in range(2):
        for batch in loader:
            epochs.append(batch.tolist())
            states.append(loader.state_dict())
    following = rows(loader)
    per_epoch = len(loader)
    assert len(epochs) == 2 * per_epoch
    for number, state in enumerate(states[:-1]):
        resumed = loader_of(order, drop_last=drop_last)
        resumed.load_state_dict(state)
        assert len(resumed) == per_epoch
        left = rows(resumed)
        whole = per_epoch - number % per_epoch
        assert left == epochs[number : number + whole]
        assert rows(resumed) == (epochs[per_epoch:] if number < per_epoch else following)


def test_an_epoch_that_was_left_early_begins_anew():
    loader = loader_of()
    begun = [batch.tolist() for batch, _ in zip(loader, range(2))]
    assert rows(loader)[:2] == begun
    for _ in zip(loader, range(3)):
        pass
    loader.sampler.set_epoch(5)
    state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (5, 0)
    other = loader_of()
    other.sampler.set_epoch(5)
    assert rows(loader) == rows(other)


def test_an_epoch_is_said_after_the_iterator_was_asked_for():
    loader, other = loader_of(), loader_of()
    iterator = iter(loader)
    loader.sampler.set_epoch(3)
    other.sampler.set_epoch(3)
    assert rows(iterator) == rows(other)


def test_a_state_of_something_else_is_refused():
    state = loader_of().state_dict()
    with pytest.raises(NeurodataError, match=r"position is of other windows \(another split, stride or length"):
        loader_of(dataset=Numbers(make_windows([Stretch("a/b", 0, 90)], 1.0, 5.0, 2.0))).load_state_dict(state)
    with pytest.raises(NeurodataError, match="recordings were rewritten, or are decoded or scaled in another way"):
        loader_of(dataset=Numbers(fingerprint="as they are now")).load_state_dict(state)
    with pytest.raises(NeurodataError, match="had batches of 8 windows, this one of 4"):
        WindowLoader(Numbers(), 4, sampler=ORDERS["drawn"]()).load_state_dict(state)
    with pytest.raises(NeurodataError, match=r"\n  - seed: 3 then, 4 now"):
        WindowLoader(Numbers(), 8, sampler=DrawnWindows(WINDOWS, 42, 4)).load_state_dict(state)
    unknown = WindowLoader(Numbers(), 8, sampler=RandomSampler(range(30)), collate_fn=as_they_are)
    assert len(rows(unknown)) == 4
    with pytest.raises(NeurodataError, match="RandomSampler cannot say where it stands"):
        unknown.state_dict()
    with pytest.raises(NeurodataError, match=r"give sampler=ShuffledWindows\(windows, seed\)"):
        WindowLoader(Numbers(), shuffle=True)
    with pytest.raises(NeurodataError, match="lookahead is 0 or more and fetch_threads 1 or more, got -1 and 2"):
        WindowLoader(Numbers(), lookahead=-1)


def test_all_windows_come_in_order_where_nothing_is_said():
    batches = list(WindowLoader(Numbers(), 8, collate_fn=as_they_are))
    assert torch.cat(batches).tolist() == list(range(len(WINDOWS)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("lookahead", [1, 3, 100])
def test_looking_ahead_changes_nothing_but_when_windows_are_fetched(order, lookahead):
    expected = rows(loader_of(order))
    far = Far(seconds=0.001)
    loader = loader_of(order, far, lookahead=lookahead)
    found = []
    for number, batch in enumerate(loader):
        found.append(batch.tolist())
        assert set(batch.tolist()) <= far.near
        assert len(far.calls) <= number + 1 + lookahead
    assert found == expected
    assert all(name.startswith("fetch") for name in far.threads)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]
    if order in ("shuffled", "covering", "streamed"):
        announced = [index for call in far.calls for index in call]
        assert sorted(announced) == list(range(len(WINDOWS)))


def test_a_resumed_loader_fetches_only_what_is_left():
    loader = loader_of("streamed")
    batches = iter(loader)
    begun = [next(batches).tolist() for _ in range(3)]
    far = Far()
    resumed = loader_of("streamed", far, lookahead=2)
    resumed.load_state_dict(loader.state_dict())
    assert rows(resumed) == rows(batches)
    assert begun


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork")])
def test_what_cannot_be_fetched_stops_the_batch_that_needs_it(workers, start):
    expected = rows(loader_of("shuffled"))
    far = Far(damaged={expected[3][2]})
    loader = loader_of("shuffled", far, workers, start, lookahead=2)
    batches = iter(loader)
    assert rows(itertools.islice(batches, 3)) == expected[:3]
    with pytest.raises(OSError, match=rf"\[{expected[3][2]}\] cannot be fetched"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]


def test_a_dataset_needs_no_windows():
    class Five(Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return index

    loader = WindowLoader(Five(), 2, collate_fn=as_they_are)
    assert list(loader) == [[0, 1], [2, 3], [4]]
    assert loader.state_dict()["windows"] == ""


@pytest.mark.parametrize("order", ["drawn", "shuffled", "streamed"])
def test_a_thread_in_the_background_changes_nothing(order):
    plain = loader_of(order)
    expected = [rows(plain), rows(plain)]
    loader = loader_of(order, background=True)
    states, found = [], []
    for batch in loader:
        found.append(batch.tolist())
        states.append(loader.state_dict())
    assert [found, rows(loader)] == expected
    for number, state in enumerate(states):
        resumed = loader_of(order, background=True)
        resumed.load_state_dict(state)
        assert rows(resumed) == (expected[0][number + 1 :] or expected[1])
    before = threading.active_count()
    for _ in range(5):
        next(iter(loader))
    assert threading.active_count() <= before


def test_what_fails_in_the_background_stops_the_batch_that_needs_it():
    class Failing(Numbers):
        def __getitems__(self, indices):
            if 20 in indices:
                raise ValueError("window 20 is broken")
            return super().__getitems__(indices)

    batches = iter(loader_of("covering", Failing(), background=True))
    assert next(batches).tolist() == list(range(8))
    assert next(batches).tolist() == list(range(8, 16))
    with pytest.raises(ValueError, match="window 20 is broken"):
        next(batches)
