"""The parts of a report that say what the data are and how the numbers came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neurodata.predictions import Predictions
from neurodata.report import markup
from neurodata.report.run_folder import Run


def make_data_card(recordings: Sequence[Mapping[str, Any]]) -> str:
    header = ["recording", "subject", "neurons", "named", "rate (Hz)", "duration (s)"]
    rows = [
        [r["recording_id"], r["subject"], r["n_channels"], r["n_named"], _quantity(r["rate_hz"], 4),
         _quantity(r["duration_seconds"], 1)]
        for r in recordings
    ]  # fmt: skip
    licences = sorted({str(r["licence"]) for r in recordings})
    citations = sorted({str(r["citation"]) for r in recordings})
    n_subjects = len({r["subject"] for r in recordings})
    return markup.section(
        "Data card",
        markup.paragraph(f"{len(recordings)} recordings of {n_subjects} subjects."),
        markup.table(header, rows, numeric=range(2, 6)),
        markup.definitions({"licence": "; ".join(licences), "citation": "; ".join(citations)}),
    )


def make_provenance_section(run: Run) -> str:
    shown = {k: v for k, v in run.provenance.items() if k not in ("recordings", "checkpoints", "title")}
    digests = {r["recording_id"]: r["content_digests"] for r in run.provenance["recordings"] if "content_digests" in r}
    parts = [markup.definitions(shown), "<h3>What each predictor was trained on</h3>", _training_table(run.predictions)]
    if run.provenance.get("checkpoints"):
        parts += ["<h3>Checkpoints</h3>", _checkpoint_table(run.provenance["checkpoints"], run.predictions)]
    if digests:
        parts += ["<h3>Content digests of the recordings</h3>", markup.definitions({"sha256": digests})]
    return markup.section("Provenance", *parts)


def _training_table(predictions: Sequence[Predictions]) -> str:
    """Return who was trained on and tested on what, predictors alike in this together, and whether the two meet."""
    alike: dict[tuple[str, ...], set[str]] = {}
    for info in (part.info for part in predictions):
        trained = info["trained_on"]
        both = sorted(set(trained or ()) & set(info["evaluated_on"]))
        meet = "unknown" if trained is None else f"other times of {', '.join(both)}" if both else "none"
        words = "unknown" if trained is None else ", ".join(sorted(trained)) or "nothing"
        key = (str(info["fold"]), str(info["split_hash"]), ", ".join(sorted(info["evaluated_on"])), words, meet)
        alike.setdefault(key, set()).add(info["model"])
    rows = [[*key[:3], ", ".join(sorted(models)), *key[3:]] for key, models in sorted(alike.items())]
    return markup.table(["fold", "split", "tested on", "predictors", "trained on", "tested ones in training"], rows)


def _checkpoint_table(checkpoints: Sequence[Mapping[str, Any]], predictions: Sequence[Predictions]) -> str:
    """Return what each checkpoint saw, and whether a recording that its fold tests is among it."""
    rows = []
    for checkpoint in checkpoints:
        fold, trained = checkpoint.get("fold"), checkpoint.get("trained_on")
        tested = {r for part in predictions if part.info["fold"] == fold for r in part.info["evaluated_on"]}
        both = ", ".join(sorted(tested & set(trained or ()))) or "none"
        words = "unknown" if trained is None else ", ".join(sorted(trained))
        digest = str(checkpoint.get("sha256", "unknown"))[:16]
        rows.append([checkpoint.get("name", "?"), fold, digest, words, "unknown" if trained is None else both])
    return markup.table(["checkpoint", "fold", "sha256", "trained on", "tested ones in training"], rows)


def _quantity(value: Any, digits: int) -> str:
    return markup.number(value, digits) if isinstance(value, (int, float)) else "unknown"
