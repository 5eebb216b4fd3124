"""Every checkpoint that ships opens without a network, answers as it did, is small, and says what it was made from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neurodata.catalogue import list_entries, read_summary
from neurodata.models.checkpoints import CARD, CONFIG, GOLDEN, WEIGHTS, read_config, save_pretrained
from neurodata.models.golden import check_golden

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {"worm-small", "multi-nano", "multi-small", "eeg-nano"}
"""What the documentation promises."""
NAMES = sorted(list_entries("pretrained"))
MOST_BYTES = 16_000_000
FURTHEST = 1e-3
"""Of an answer to the golden one: kernels of other processors differ by about 1e-5, another model by far more."""

OPEN_ALL = """
import sys
from neurodata.models.checkpoints import from_pretrained
print(*(type(from_pretrained(name)).__name__ for name in sys.argv[1:]))
"""
SHA256 = re.compile(r"[0-9a-f]{64}")


def problems_of(folder: Path) -> list[str]:
    """Say what a checkpoint lacks to be shipped; nothing where it lacks nothing."""
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    problems = [f"{name} is missing" for name in (WEIGHTS, CONFIG, CARD, GOLDEN) if name not in files]
    if sum(files.values()) > MOST_BYTES:
        problems.append(f"{sum(files.values()):,} bytes, more than {MOST_BYTES:,}")
    manifest = read_config(folder)["manifest"]
    trained = manifest.get("trained_on")
    digests = list(trained.values()) if isinstance(trained, dict) else []
    wanted = {
        "trained_on, recordings with their content digests": bool(digests) and all(map(is_digest, digests)),
        "split_sha256, a digest": is_digest(manifest.get("split_sha256")),
        "seed, a whole number": type(manifest.get("seed")) is int,
        "licence, a text": bool(manifest.get("licence")) and isinstance(manifest["licence"], str),
        "hardware, a text": bool(manifest.get("hardware")) and isinstance(manifest["hardware"], str),
        "seconds, a number": type(manifest.get("seconds")) in (int, float) and manifest["seconds"] > 0,
        "trained_on_all, true": manifest.get("trained_on_all") is True,
    }
    return problems + [f"the manifest has no {what}" for what, there in wanted.items() if not there]


def is_digest(value: object) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None


def open_offline(names: list[str], folder: Path) -> str:
    """Open checkpoints in a process that may not ask the hub, far from the repository."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "empty")}
    command = [sys.executable, "-c", OPEN_ALL, *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- those that ship --------------------------------------------------------------------------------------------


def test_what_is_promised_ships():
    missing = sorted(SHIPPED - set(list_entries("pretrained")))
    assert not missing, f"models/pretrained lacks {', '.join(missing)}, so nothing is checked of them"


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_checkpoint_answers_its_golden_batch(name):
    assert check_golden(name) < FURTHEST


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_checkpoint_is_small_and_says_what_it_was_made_from(name):
    assert problems_of(ROOT / "models/pretrained" / name) == []
    assert read_summary("pretrained", name)


def test_shipped_checkpoints_open_without_a_network(tmp_path):
    assert len(open_offline(NAMES, tmp_path).split()) == len(NAMES)


# --- a made-up one, so that the checks above are known to see ---------------------------------------------------


MANIFEST = {
    "trained_on": {"made_up/w1": "ab" * 32}, "trained_on_all": True, "split_sha256": "ef" * 32, "seed": 3,
    "licence": "CC-BY-4.0", "hardware": "two processor cores", "seconds": 1.5,
}  # fmt: skip


@pytest.fixture
def made_up(tmp_path, spec, task_of, batch_of):
    """Write a checkpoint as it would ship, with some of its manifest changed."""

    def make(**changes):
        manifest = {key: value for key, value in (MANIFEST | changes).items() if value is not None}
        save_pretrained(task_of("decode", "gru", spec), tmp_path / "made-up", manifest, golden=batch_of(spec))
        return tmp_path / "made-up"

    return make


def test_a_made_up_checkpoint_passes(made_up, tmp_path):
    folder = made_up()
    assert problems_of(folder) == []
    assert check_golden(folder) < FURTHEST
    assert open_offline([str(folder)], tmp_path) == "Decode"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"trained_on": None}, "no trained_on"), ({"trained_on": {}}, "no trained_on"),
        ({"trained_on": {"made_up/w1": "unknown"}}, "no trained_on"),
        ({"split_sha256": "ab"}, "no split_sha256"), ({"seed": True}, "no seed"), ({"seed": 1.5}, "no seed"),
        ({"licence": ""}, "no licence"), ({"hardware": None}, "no hardware"), ({"seconds": 0}, "no seconds"),
        ({"seconds": "2 s"}, "no seconds"), ({"trained_on_all": "true"}, "no trained_on_all"),
    ],
)  # fmt: skip
def test_a_manifest_that_lacks_something_is_seen(made_up, changes, problem):
    [found] = problems_of(made_up(**changes))
    assert problem in found


@pytest.mark.parametrize("name", [CARD, GOLDEN])
def test_a_missing_file_is_seen(made_up, name):
    folder = made_up()
    (folder / name).unlink()
    assert problems_of(folder) == [f"{name} is missing"]


def test_a_large_checkpoint_is_seen(made_up):
    folder = made_up()
    with (folder / "notes.md").open("wb") as file:
        file.truncate(MOST_BYTES)
    [found] = problems_of(folder)
    assert "bytes, more than 16,000,000" in found
