"""What a run's folder must hold, and what is said when it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from neurodata.errors import NeurodataError
from neurodata.report.run_folder import read_run


@pytest.fixture
def folder(run_folder, tmp_path) -> Path:
    """Make a run that a test may spoil, with one fold's predictions only."""
    shutil.copytree(
        run_folder, tmp_path / "run", ignore=lambda _, names: [n for n in names if n.endswith("[1-4].parquet")]
    )
    return tmp_path / "run"


def spoil_json(folder: Path, **changes) -> None:
    content = json.loads((folder / "run.json").read_text())
    content = {key: value for key, value in (content | changes).items() if value is not None}
    (folder / "run.json").write_text(json.dumps(content))


def spoil_heatmap(folder: Path, **changes) -> None:
    with np.load(folder / "heatmap.npz") as archive:
        arrays = dict(archive) | changes
    np.savez(folder / "heatmap.npz", **{name: array for name, array in arrays.items() if array is not None})


def test_everything_is_read(run):
    assert run.name == "made_up"
    assert len(run.predictions) == 5 * (6 + 3)
    assert run.heatmap.values.shape == (3240, 120)
    assert run.heatmap.recording == "made_up/worm1"
    assert set(run.curves["phase"]) == {"pretrain", "decode", "forecast"}


def test_no_folder_and_no_predictions(tmp_path):
    with pytest.raises(NeurodataError, match=r"run folder .* does not exist"):
        read_run(tmp_path / "none")
    with pytest.raises(NeurodataError, match=r"holds no predictions: expected .*/predictions/\*\.parquet"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"seed": None, "store": None}, r"incomplete:\n  - 'seed' is missing\n  - 'store' is", id="missing"
        ),
        pytest.param(
            {"recordings": [{"recording_id": "a/b"}]}, r"recordings\[0\]: 'licence' is missing", id="recording"
        ),
        pytest.param({"recordings": "five"}, "'recordings' must be a list of objects", id="recordings no list"),
        pytest.param({"checkpoints": ["a"]}, "'checkpoints' must be a list of objects", id="checkpoints"),
        pytest.param({"split_hash": {"0": "other"}}, r"'5b1d0000' but run.json states 'other'", id="other split"),
    ],
)
def test_wrong_provenance_is_refused(folder, changes, message):
    spoil_json(folder, **changes)
    with pytest.raises(NeurodataError, match=message):
        read_run(folder)


def test_provenance_that_is_no_json_is_refused(folder):
    (folder / "run.json").write_text("{")
    with pytest.raises(NeurodataError, match=r"run\.json is not JSON"):
        read_run(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"codes": None}, "lacks the arrays codes", id="array missing"),
        pytest.param({"labels": np.array(["a"])}, r"expected values \(time, channel\)", id="labels short"),
        pytest.param({"codes": np.zeros(3, int)}, r"expected codes of shape \(3240,\)", id="codes short"),
        pytest.param({"labels": np.array([{}] * 120)}, "Object arrays cannot be loaded", id="objects"),
    ],
)
def test_wrong_heat_maps_are_refused(folder, changes, message):
    spoil_heatmap(folder, **changes)
    with pytest.raises(NeurodataError, match=message):
        read_run(folder)


def test_wrong_curves_are_refused(folder):
    (folder / "curves.csv").write_text("model,step\ngru,0\n")
    with pytest.raises(NeurodataError, match=r"curves\.csv lacks the columns fold, phase, split, value"):
        read_run(folder)
    (folder / "curves.csv").write_text("model,fold,phase,step,split,value\ngru,0,decode,0,train,high\n")
    with pytest.raises(NeurodataError, match="'value' must be numbers"):
        read_run(folder)
