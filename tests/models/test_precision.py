"""Every network learns every task in double precision too, and what it then predicts is double."""

from __future__ import annotations

import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.train import fit, predict
from neurodata.windows.splits import split_by


@pytest.fixture(scope="module")
def data(worms):
    module = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=4, batches_per_epoch=4,
        split=split_by("subject", test=["w3"]), scaling="recording",
    )  # fmt: skip
    module.setup()
    return module


STILL = {
    "decode": {"dropped_channels": 0.0, "gain": 0.0, "offset": 0.0, "noise": 0.0},
    "forecast": {"dropped_channels": 0.0},
    "multitask_decode": {"dropped_channels": 0.0, "gain": 0.0, "offset": 0.0, "noise": 0.0},
}
"""Nothing that torch draws: it draws other numbers in double precision."""


def test_double_precision_trains_and_predicts(data, task_of, task_name, network_name):
    def trained(precision):
        task = task_of(task_name, network_name, data.spec, **STILL.get(task_name, {}))
        for module in task.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return fit(task, data.train_dataloader(), steps=2, seed=0, precision=precision, curve_every=1)

    single, double = trained("32-true"), trained("64-true")
    weights = [value for value in double.task.state_dict().values() if value.is_floating_point()]
    assert {value.dtype for value in weights} == {torch.float64}
    assert double.curve["value"].tolist() == pytest.approx(single.curve["value"].tolist(), rel=1e-4)
    if task_name in STILL:
        found = predict(double.task, data.test_dataloader())[0]
        assert (found[0] if isinstance(found, tuple) else found).dtype == torch.float64
