"""Lightning keeps and takes up where a loader stands."""

from __future__ import annotations

import logging
import shutil

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Dataset

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.loader import WindowLoader
from neurodata.batches.sampling import DrawnWindows, ShuffledWindows, StreamedWindows
from neurodata.models.build import make_network, make_task
from neurodata.models.train import fit
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch, split_by

WINDOWS = make_windows([Stretch("a/b", 0, 60), Stretch("a/c", 0, 45)], 1.0, 5.0, 2.0)

pytestmark = [
    # lightning 2.6 still calls interfaces that torch 2.13 announces the end of, and hints at more workers.
    pytest.mark.filterwarnings("ignore::FutureWarning:lightning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*"),
    # Each resumed run keeps its checkpoints in a folder of its own.
    pytest.mark.filterwarnings("ignore:The dirpath has changed.*"),
]


class Numbers(Dataset):
    """Windows that say which ones they are, and note what is fetched."""

    windows = WINDOWS

    def __init__(self):
        self.calls = []

    def __len__(self):
        return len(self.windows)

    def __getitems__(self, indices):
        return torch.tensor(indices)

    def fetch(self, indices):
        self.calls.append(list(indices))


ORDERS = {
    "drawn": lambda: DrawnWindows(WINDOWS, 42, 3),
    "shuffled": lambda: ShuffledWindows(WINDOWS, 3),
    "streamed": lambda: StreamedWindows(WINDOWS, 3, block_windows=5),
}


def as_they_are(batch):
    return batch


def loader_of(order, workers=0, start=None, **options):
    return WindowLoader(
        Numbers(), 8, sampler=ORDERS[order](), collate_fn=as_they_are, num_workers=workers,
        multiprocessing_context=start, **options,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _quietly(caplog):
    """Lightning's own hints are no matter here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        caplog.set_level(logging.ERROR, name)


class Remembering(lightning.LightningModule):
    """Learns nothing much and remembers which windows it saw."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(1)), []

    def training_step(self, batch, batch_index):
        self.seen.append((self.current_epoch, batch.tolist()))
        return (self.weight * batch.float().mean()).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(folder, steps, loader, checkpoint=None, **options):
    module = Remembering()
    trainer = lightning.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)], **options,
    )  # fmt: skip
    trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    return module.seen


@pytest.mark.parametrize("order", ["drawn", "streamed"])
@pytest.mark.parametrize("options", [{}, {"limit_train_batches": 4}], ids=["whole epochs", "limited epochs"])
def test_lightning_resumes_with_exactly_the_batches_it_would_have_had(order, options, tmp_path):
    def loader():
        return loader_of(order, lookahead=2)

    expected = train(tmp_path / "whole", 15, loader(), **options)
    per_epoch = options.get("limit_train_batches", len(loader()))
    assert [epoch for epoch, _ in expected] == [step // per_epoch for step in range(15)]
    assert expected[0][1] != expected[per_epoch][1]
    for step in (2, per_epoch - 1, per_epoch, per_epoch + 1, 2 * per_epoch):
        checkpoint = tmp_path / "whole" / f"step={step}.ckpt"
        found = train(tmp_path / f"from{step}", 15, loader(), checkpoint, **options)
        assert [batch for _, batch in found] == [batch for _, batch in expected[step:]], step


def test_lightning_resumes_with_workers(tmp_path):
    def loader():
        return loader_of("shuffled", workers=2, start="fork", persistent_workers=True)

    expected = train(tmp_path / "whole", 15, loader())
    per_epoch = len(loader())
    for step in (3, per_epoch + 2):
        checkpoint = tmp_path / "whole" / f"step={step}.ckpt"
        found = train(tmp_path / f"from{step}", 15, loader(), checkpoint)
        assert [batch for _, batch in found] == [batch for _, batch in expected[step:]]


def test_lightning_predicts_every_window_once_through_a_loader_that_looks_ahead():
    class Same(Remembering):
        def predict_step(self, batch, batch_index):
            return batch

    dataset = Numbers()
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    found = trainer.predict(Same(), WindowLoader(dataset, 8, collate_fn=as_they_are, lookahead=2))
    assert torch.cat(found).tolist() == list(range(len(WINDOWS)))
    assert [len(call) for call in dataset.calls] == [8] * (len(WINDOWS) // 8) + [len(WINDOWS) % 8]


def test_a_run_resumed_in_the_middle_of_an_epoch_comes_to_the_same_weights(worms, tmp_path):
    data = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=4, batches_per_epoch=5,
        scaling="none", split=split_by("recording", test=["made_up/w3"]), cache=tmp_path / "cache",
    )  # fmt: skip
    data.setup()

    def trained(folder):
        torch.manual_seed(0)
        task = make_task("decode", make_network("transformer", data.spec, {}), {"class_counts": [1, 1, 1]})
        assert any(isinstance(part, torch.nn.Dropout) and part.p > 0 for part in task.modules())
        often = ModelCheckpoint(folder / "often", filename="{step}", every_n_train_steps=1, save_top_k=-1)
        fit(task, data.train_dataloader(), steps=9, seed=3, callbacks=[often], folder=folder)
        return task.state_dict()

    expected = trained(tmp_path / "whole")
    (tmp_path / "resumed").mkdir()
    shutil.copy(tmp_path / "whole" / "often" / "step=7.ckpt", tmp_path / "resumed" / "last.ckpt")
    found = trained(tmp_path / "resumed")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not (tmp_path / "resumed" / "often" / "step=7.ckpt").exists()
