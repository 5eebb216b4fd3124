"""The verdict's words where there is little to go by."""

from __future__ import annotations

import dataclasses

from neurodata.report.scores import make_scores
from neurodata.report.verdict import make_verdict


def test_one_subject_is_no_evidence_for_another(run):
    one = [part for part in run.predictions if part.info["fold"] == run.predictions[0].info["fold"]]
    first = one[0].table["recording"].iloc[0]
    parts = []
    for part in one:
        table = part.table[part.table["recording"] == first].reset_index(drop=True)
        parts.append(dataclasses.replace(part, table=table, info=part.info | {"evaluated_on": [first]}))
    words = " ".join(make_verdict(make_scores(parts), "transformer"))
    assert "On held-out data of 1 subject, transformer decodes" in words
    assert "It is ahead of majority (+0." in words
    assert "in the one subject there is" in words
    assert "One subject says nothing of another." in words
    assert "does NOT beat" not in words
