"""A WindowDataset is a path and numbers; a recording is opened where and when it is first needed."""

from __future__ import annotations

import os
from multiprocessing.reduction import ForkingPickler  # what sends a dataset to a worker
from pathlib import Path

import numpy as np
import pytest

from neurodata.batches.collate import collate
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.dataset import WindowDataset
from neurodata.errors import NeurodataError, StoreError
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch, split_by


def module(worms, **options):
    settings = {"inputs": "calcium", "target": "state", "window_seconds": 4.0, "rate_hz": 3.0, "batch_size": 5}
    split = split_by("subject", test=["w3"], validation=["w2"])
    return RecordingDataModule(worms, **({"split": split} | settings | options))


def same(one, other):
    assert type(one) is type(other)
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a, b)


def test_windows_are_slices_of_the_prepared_and_scaled_recording(worms):
    data = module(worms)
    dataset = data.dataset("train")
    prepared = data.prepared("made_up/w1")
    mean, std = data.statistics["made_up/w1"]
    sample = dataset[17]
    assert (sample.recording, sample.first, sample.rate_hz) == (0, 17, 3.0)
    np.testing.assert_allclose(sample.values, (prepared.values[17:29] - mean) / std, atol=1e-5)
    np.testing.assert_array_equal(sample.target, prepared.target[17:29])
    np.testing.assert_array_equal(sample.channel_ids, prepared.channel_ids)
    assert len(dataset) == len(prepared.values) - 12 + 1


def test_a_whole_batch_is_gathered_as_its_windows_one_by_one(worms):
    dataset = module(worms).dataset("train")
    chosen = [5, 0, len(dataset) - 1, 5]
    gathered = dataset.__getitems__(chosen)
    for whole, collated in zip(gathered, collate([dataset[index] for index in chosen])):
        np.testing.assert_array_equal(whole, collated)
    assert collate(gathered) is gathered


def test_a_batch_that_is_kept_stays_as_it_is(worms):
    dataset = module(worms).dataset("train")
    chosen = [[n, n + 1, n + 2] * 100 for n in range(12)]
    batches = [dataset.__getitems__(indices) for indices in chosen]
    views = [batch.values[1:2, :, 3] for batch in batches]
    again = [dataset.__getitems__(indices) for indices in chosen]
    for one, other, view in zip(batches, again, views):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(view, other.values[1:2, :, 3])


def test_missing_values_are_0_and_not_recorded(made, tmp_path):
    from neurodata.store.write import write_recording

    worm = made.made_worm("made_up/w1", rate_hz=3.0)
    values = np.array(worm.signals["calcium"].values)
    values[30:60, 2], values[:, 4] = np.nan, np.nan
    write_recording(worm.replace(signals={"calcium": worm.signals["calcium"].copy(data=values)}), tmp_path)
    data = module(tmp_path, target="", split=split_by("time", test=0.2, guard_seconds=4.0))
    sample = data.dataset("train")[40]  # 13.3 to 17.3 s; nothing was recorded from 10 to 20 s
    assert not sample.recorded[:, [2, 4]].any()
    assert not sample.values[:, [2, 4]].any()
    assert sample.recorded[:, [0, 1, 3]].all()


def test_infinite_values_count_as_missing(made, tmp_path):
    from neurodata.store.write import write_recording

    worm = made.made_worm("made_up/w1", rate_hz=3.0)
    write_recording(worm, tmp_path)
    data = module(tmp_path, target="", split=split_by("time", test=0.2, guard_seconds=4.0))
    data.setup()
    mean, std = data.statistics["made_up/w1"]
    data.statistics["made_up/w1"] = (mean, np.where(np.arange(std.size) == 1, 0.0, std))  # divides by 0
    with np.errstate(divide="ignore"):
        sample = data.dataset("train")[3]
    assert not sample.recorded[:, 1].any()
    assert np.isfinite(sample.values).all()


def test_it_is_small_to_send_and_nothing_is_opened_before_the_first_item(worms):
    dataset = module(worms).dataset("train")
    sent = ForkingPickler.dumps(dataset)
    assert len(sent) < 20_000
    assert dataset._opened is None
    dataset[0]
    assert (dataset.opened.size >= 0).tolist() == [True]
    assert abs(len(ForkingPickler.dumps(dataset)) - len(sent)) < 100  # what was opened stays here
    same(ForkingPickler.loads(sent)[3], dataset[3])


def test_the_store_is_first_looked_at_for_an_item(worms, tmp_path):
    data = module(worms)
    windows = make_windows([Stretch("made_up/w1", 0, 20)], 3.0, 4.0)
    dataset = WindowDataset(tmp_path / "gone", windows, data.decoding)
    assert len(dataset) == 49
    with pytest.raises(StoreError, match="gone"):
        dataset[0]


def test_no_file_of_the_store_stays_open(worms):
    data = module(worms)
    data.dataset("train")[0]
    open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{fd}").exists()]  # fmt: skip
    assert not [name for name in open_files if name.startswith(str(worms))]


@pytest.mark.parametrize(("start", "stop"), [(-2.0, 20.0), (30.0, 99.0)], ids=["before", "after"])
def test_windows_outside_the_recording_are_refused(worms, start, stop):
    data = module(worms)
    data.setup()
    windows = make_windows([Stretch("made_up/w1", start, stop)], 3.0, 4.0)
    dataset = WindowDataset(worms, windows, data.decoding, data.statistics)
    with pytest.raises(
        NeurodataError, match=r"made_up/w1: the window of 12 samples from sample .* lies outside the rec"
    ):
        dataset[0 if start < 0 else len(dataset) - 1]


def test_all_channels_may_be_asked_for(worms):
    sample = module(worms, channels="all").dataset("test")[0]
    assert sample.channel_ids.tolist().count(0) == 1
    assert sample.values.shape[1] == module(worms).dataset("test")[0].values.shape[1] + 1
