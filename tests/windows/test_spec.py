"""A DataSpec comes back from JSON as it was, and hostile JSON is refused."""

from __future__ import annotations

import json

import pytest

from neurodata.errors import NeurodataError
from neurodata.windows.spec import DataSpec

SPEC = DataSpec("calcium", 3.0, 60, ("AVAL", "AVAR", "öß"), ("AVA", "AVA", "öß"), "state", "class", ("fwd", "rev"))


@pytest.mark.parametrize("spec", [SPEC, DataSpec("eeg", 250, 500, ())], ids=["worm", "nothing known"])
def test_json_round_trip(spec):
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))) == spec


def test_what_follows_from_the_fields():
    assert (SPEC.n_channel_ids, SPEC.group_ids, SPEC.n_outputs, SPEC.window_seconds) == (4, (0, 1, 1, 2), 2, 20.0)
    assert DataSpec("eeg", 1.0, 5, ("b", "a")).group_ids == (0, 1, 2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"rate_hz": "3"}, "wrong: rate_hz", id="text for a number"),
        pytest.param({"rate_hz": True}, "wrong: rate_hz", id="true for a number"),
        pytest.param({"rate_hz": None}, "wrong: rate_hz", id="null"),
        pytest.param({"rate_hz": float("nan")}, "rate_hz must be a positive number, got nan", id="NaN"),
        pytest.param({"rate_hz": float("inf")}, "rate_hz must be a positive number, got inf", id="infinity"),
        pytest.param({"window_samples": -3}, "window_samples must be a positive number", id="negative"),
        pytest.param({"window_samples": 2.5}, "wrong: window_samples", id="half a sample"),
        pytest.param({"vocabulary": "AVAL"}, "wrong: vocabulary", id="text for a list"),
        pytest.param({"vocabulary": [["AVAL"], {}, None]}, "wrong: vocabulary", id="no names"),
        pytest.param({"vocabulary": {"AVAL": 1}}, "wrong: vocabulary", id="object for a list"),
        pytest.param({"vocabulary": ["A", "B", "A"]}, "holds each name once; twice: A", id="a name twice"),
        pytest.param({"groups": ["A"]}, "1 groups for a vocabulary of 3 names", id="too few groups"),
        pytest.param({"target_kind": "os.system"}, "no target kind 'os.system'", id="unknown kind"),
        pytest.param({"__class__": "x"}, "missing, unknown or wrong: __class__", id="unknown field"),
        pytest.param({"signal": ["calcium"]}, "wrong: signal", id="list for text"),
    ],
)
def test_hostile_json_is_refused(changes, text):
    with pytest.raises(NeurodataError, match=text):
        DataSpec.from_json(SPEC.to_json() | changes)


def test_a_missing_field_is_named():
    fields = SPEC.to_json()
    del fields["vocabulary"], fields["target"]
    with pytest.raises(NeurodataError, match=r"missing, unknown or wrong: target, vocabulary"):
        DataSpec.from_json(fields)


@pytest.mark.parametrize("fields", [[], "spec", None, 3])
def test_json_that_is_no_object_is_refused(fields):
    with pytest.raises(NeurodataError, match="written as an object of fields, got"):
        DataSpec.from_json(fields)
