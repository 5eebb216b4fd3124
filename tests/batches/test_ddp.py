"""Two processes that really talk to each other share an epoch and put their predictions together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch.distributed
import torch.multiprocessing
from torch.utils.data import Dataset, DistributedSampler

from neurodata.batches.gathering import gather_stitched
from neurodata.batches.loader import WindowLoader
from neurodata.batches.sampling import CoveringWindows, DrawnWindows, ShuffledWindows, StreamedWindows
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch
from neurodata.windows.stitch import Stitcher

WINDOWS = make_windows([Stretch("a/b", 0, 61), Stretch("a/c", 0, 45), Stretch("a/d", 0, 30)], 1.0, 5.0, 2.0)
NOISE = np.random.default_rng(0).normal(size=(len(WINDOWS), 5, 2))


class Numbers(Dataset):
    windows = WINDOWS

    def __len__(self):
        return len(self.windows)

    def __getitems__(self, indices):
        return indices


def as_they_are(batch):
    return batch


def loader_of(sampler):
    return WindowLoader(Numbers(), 4, sampler=sampler, collate_fn=as_they_are)


def predicted():
    """What this process predicts of its share, with what all have predicted."""
    stitcher, found = Stitcher(WINDOWS), []
    for indices in loader_of(CoveringWindows(WINDOWS)):
        found += stitcher.add(*WINDOWS.locate_many(np.array(indices)), NOISE[indices])
    everything = gather_stitched(stitcher, found)
    return len(found), [(one.recording_id, one.samples.tolist(), one.values.tolist()) for one in everything]


def work(rank, folder):
    """One process: its batches of each order, resumed in the middle, and the predictions of all."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    samplers = [DrawnWindows(WINDOWS, 12, 3), ShuffledWindows(WINDOWS, 3), StreamedWindows(WINDOWS, 3, block_windows=6), CoveringWindows(WINDOWS)]  # fmt: skip
    orders = {}
    for sampler in samplers:
        assert (sampler.rank, sampler.num_replicas) == (rank, 2)
        assert isinstance(sampler, DistributedSampler)
        loader = loader_of(sampler)
        batches = iter(loader)
        begun = [next(batches), next(batches)]
        # What Lightning saves is the first process's state; every process takes it up.
        state = [loader.state_dict()]
        torch.distributed.broadcast_object_list(state, src=0)
        rest = list(batches)
        loader.load_state_dict(state[0])
        assert list(loader) == rest
        orders[type(sampler).__name__] = begun + rest
    Path(folder, f"{rank}.json").write_text(json.dumps({"orders": orders, "predicted": predicted()}))
    torch.distributed.destroy_process_group()


def test_two_processes_share_every_epoch_and_predict_each_window_once(tmp_path):
    torch.multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for name, batches in one["orders"].items():
        halves = [[index for batch in share["orders"][name] for index in batch] for share in (one, other)]
        if name == "DrawnWindows":
            alone = list(DrawnWindows(WINDOWS, 24, 3, rank=0, world_size=1))
            assert [index for pair in zip(*halves) for index in pair] == alone
            continue
        together = halves[0] + halves[1]
        assert len(set(together)) == len(together)
        dropped = len(WINDOWS) - len(together)
        assert dropped == (0 if name == "CoveringWindows" else len(WINDOWS) % 2)
        assert batches != other["orders"][name]
    finished, alone = predicted()
    assert finished == 3
    assert [name for name, _, _ in alone] == ["a/b", "a/c", "a/d"]
    for share in (one, other):
        finished, found = share["predicted"]
        assert finished < 3  # a recording lies across the border
        assert found == [list(recording) for recording in alone]
