"""``kill -9`` of ``neurodata train``, whenever it comes: ``--resume`` ends with what an undisturbed run has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from lightning.fabric.plugins.io import TorchCheckpointIO

import neurodata as nd

pytestmark = pytest.mark.slow

PATIENCE = 600
"""Seconds after which a process hangs, on however busy a machine."""

STAGE = {"steps": 60, "batch_size": 2}
SETTINGS = {
    "name": "killed",
    "split": {"by": "subject", "validation": ["worm2"], "test": ["worm3"]},
    "recipe": {
        "network": "gru", "network_options": {"width": 8}, "window_seconds": 12.0, "pretrain": STAGE, "decode": STAGE,
        "forecast": {"steps": 30, "batch_size": 2},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with settings and a small store."""
    folder = tmp_path_factory.mktemp("killed")
    nd.write_kato_layout(nd.simulate_worms(3, 60.0, seed=2), folder / "raw")
    nd.convert("kato_brain_2015", folder / "raw", folder / "store")
    (folder / "c.yaml").write_text(yaml.safe_dump(SETTINGS | {"store": str(folder / "store")}), encoding="utf-8")
    return folder


def start(place, runs, *more):
    """A real process; what it says goes to files, so that nobody has to read along."""
    command = [Path(sys.executable).with_name("neurodata"), "train", "c.yaml", "--runs", runs, *more]
    with open(place / f"{runs}.err", "w", encoding="utf-8") as told:
        return subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=told, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


def finish(place, runs, *more):
    with start(place, runs, *more) as process:
        code = process.wait(PATIENCE)
    return code, (place / f"{runs}.err").read_text(encoding="utf-8")


def kill_when(process, there):
    """Send SIGKILL as soon as something is there."""
    end = time.monotonic() + PATIENCE
    with process:
        while not there() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "the training ended before it could be killed"
    assert there()


def state_of(place, runs, phase):
    return place / runs / "killed/resume" / f"split-{phase}-gru-0/last.ckpt"


def step_of(path):
    return TorchCheckpointIO().load_checkpoint(path, weights_only=True)["global_step"] if path.exists() else 0


@pytest.fixture(scope="module")
def whole(place):
    """What a run is that nobody disturbs."""
    code, told = finish(place, "whole")
    assert code == 0, told
    return place / "whole/killed"


def check_the_same(run, whole):
    """Losses, weights and predictions, to the bit."""
    assert (run / "curves.csv").read_bytes() == (whole / "curves.csv").read_bytes()
    for pattern in ("checkpoints/*/*/model.safetensors", "predictions/*.parquet"):
        names = sorted(str(path.relative_to(whole)) for path in whole.glob(pattern))
        assert names
        assert sorted(str(path.relative_to(run)) for path in run.glob(pattern)) == names
        for name in names:
            assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (run / "resume").exists()
    assert (run / "report.html").exists()


def test_a_training_killed_in_every_stage_ends_as_one_that_was_not(place, whole):
    """Killed in pretraining and in decoding, and before a stage has kept anything, and resumed each time."""
    runs = "killed"
    kill_when(start(place, runs), state_of(place, runs, "pretrain").exists)
    assert not (place / runs / "killed/run.json").exists()
    code, told = finish(place, runs)
    assert (code, "is there already; choose another name, delete it, or --resume" in told) == (1, True)
    assert 25 <= step_of(state_of(place, runs, "pretrain")) < 60
    kill_when(start(place, runs, "--resume"), lambda: step_of(state_of(place, runs, "pretrain")) == 60)
    assert not state_of(place, runs, "decode").exists()
    kill_when(start(place, runs, "--resume"), state_of(place, runs, "decode").exists)
    assert 25 <= step_of(state_of(place, runs, "decode")) <= 60
    kill_when(start(place, runs, "--resume"), lambda: step_of(state_of(place, runs, "decode")) == 60)
    assert not (place / runs / "killed/resume/split-forecast-gru-0/last.ckpt").exists()
    code, told = finish(place, runs, "--resume")
    assert (code, told) == (0, "")
    check_the_same(place / runs / "killed", whole)


def test_a_run_killed_before_its_report_is_finished_without_training_again(place, whole):
    """As the kill leaves it: all that was trained, and ``run.json``."""
    run = place / "late/killed"
    shutil.copytree(whole, run)
    for name in ("config.yaml", "metrics.json", "report.html"):
        (run / name).unlink()
    (run / "resume").mkdir()
    before = {path: path.stat().st_mtime_ns for path in run.glob("checkpoints/*/*/model.safetensors")}
    code, told = finish(place, "late", "--resume", "recipe.seed=5")
    assert code == 1
    assert told == "error: run 'late/killed' is finished, with another recipe; choose another name\n"
    assert finish(place, "late", "--resume") == (0, "")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    check_the_same(run, whole)
    assert json.loads((run / "metrics.json").read_text()) == json.loads((whole / "metrics.json").read_text())


def test_a_training_that_diverges_is_resumed_with_a_lower_rate(place):
    """Killed in decoding, gone on with by a rate far too high, and then by one that is not."""
    runs, state = "diverged", state_of(place, "diverged", "decode")
    kill_when(start(place, runs), state.exists)
    good = state.read_bytes()
    code, told = finish(place, runs, "--resume", "recipe.decode.learning_rate=1e38")
    assert code == 1
    assert told.count("error:") == 1
    assert "Traceback" not in told
    assert told.startswith("error: training diverged: the ")
    assert (
        "lower learning_rate and resume from the last good state, 'diverged/killed/resume/split-decode-gru-0/last.ckpt'"
        in told
    )
    assert told.endswith("the batch held windows of kato_brain_2015/worm1, kato_brain_2015/worm2\n")
    assert state.read_bytes() == good
    code, told = finish(place, runs, "--resume", "recipe.decode.learning_rate=0.001")
    assert (code, told) == (0, "")
    assert (place / runs / "killed/report.html").exists()
