"""A view asked for by name is its function with these options, and a config from anywhere is read or refused."""

from __future__ import annotations

import copy
import inspect
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodata.errors import LeakageError, NeurodataError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import physical
from neurodata.recording.timed import make_signal
from neurodata.windows import eeg_views
from neurodata.windows import views as module
from neurodata.windows.eeg_views import re_reference
from neurodata.windows.filters import band_pass, notch
from neurodata.windows.fmri_views import framewise_displacement, remove_drift
from neurodata.windows.splits import Split, Stretch
from neurodata.windows.views import (
    VIEWS,
    View,
    apply_views,
    channels_after,
    check_views_leak,
    is_causal,
    make_views,
    reach_seconds,
)

LABELS = ["A1", "A2", "A3", "B1", "B2"]


def made(n=300, seed=0, **options):
    values = np.random.default_rng(seed).normal(size=(n, len(LABELS)))
    ids = [f"e{i}" for i in range(len(LABELS))]
    columns = {"label": LABELS, "type": ["seeg"] * len(LABELS)}
    return make_signal(values, channel_id=ids, units="V", rate_hz=200.0, columns=columns, **options).rename("seeg")


STEPS = {
    "band": ({"band_pass": {"low_hz": 1, "high_hz": 40}}, lambda s: band_pass(s, 1.0, 40.0)),
    "low": (
        {"band_pass": {"low_hz": None, "high_hz": 40, "order": 2, "causal": False}},
        lambda s: band_pass(s, None, 40.0, order=2, causal=False),
    ),
    "notch": ({"notch": {"line_hz": 50, "harmonics": 1}}, lambda s: notch(s, 50.0, 1)),
    "average": ({"re_reference": {"to": "average"}}, lambda s: re_reference(s, "average")),
    "contacts": ({"re_reference": {"to": ["A1", "B2"]}}, lambda s: re_reference(s, ["A1", "B2"])),
    "drift": ("remove_drift", remove_drift),
    "cosines": (
        {"remove_drift": {"method": "cosine", "period_seconds": 1, "keep_mean": True}},
        lambda s: remove_drift(s, method="cosine", period_seconds=1, keep_mean=True),
    ),
    "none": ({"remove_drift": None}, remove_drift),
}
CHOSEN = st.lists(st.sampled_from(sorted(STEPS)), max_size=4)


@settings(max_examples=40)
@given(CHOSEN, st.integers(0, 99))
def test_property_views_are_their_functions_one_after_the_other(chosen, seed):
    signal = expected = made(seed=seed)
    for name in chosen:
        expected = STEPS[name][1](expected)
    xr.testing.assert_identical(apply_views(signal, make_views([STEPS[name][0] for name in chosen])), expected)


@given(CHOSEN)
def test_property_json_and_copies_give_the_same_views(chosen):
    views = make_views([STEPS[name][0] for name in chosen])
    written = json.loads(json.dumps([view.to_json() for view in views], allow_nan=False))
    for again in (
        make_views(written),
        tuple(map(View.from_json, written)),
        copy.deepcopy(views),  # goes the way of pickle
        make_views(views),
    ):
        assert again == views
        assert hash(again) == hash(views)
    assert make_views(yaml.safe_load(yaml.safe_dump([STEPS[name][0] for name in chosen]))) == views


def test_integers_are_taken_in_physical_units():
    counts = make_signal(
        np.arange(30, dtype=np.int16)[:, None] ** 2, channel_id=["a"], units="uV", rate_hz=1.0, scale_factor=0.5
    )
    for step in ("remove_drift", {"band_pass": {"low_hz": 0.1, "high_hz": None}}):
        (view,) = make_views([step])
        xr.testing.assert_identical(view.apply(counts), view.apply(physical(counts)))
        assert "scale_factor" not in view.apply(counts).attrs


def test_every_option_is_held_so_that_a_changed_default_changes_no_checkpoint():
    view = View("band_pass", {"high_hz": np.int64(40), "low_hz": 1})
    assert view.to_json() == {
        "name": "band_pass",
        "options": {"low_hz": 1.0, "high_hz": 40.0, "causal": True, "order": 4},
    }
    assert view == View("band_pass", {"low_hz": 1.0, "high_hz": 40.0, "order": 4})
    assert view != View("band_pass", {"low_hz": 1.0, "high_hz": 40.0, "order": 3})
    assert str(View("re_reference", {"to": ["Cz"]})).startswith("re_reference(to=('Cz',), kind=None, exclude_bad=True")
    with pytest.raises(TypeError, match="does not support item assignment"):
        view.options["order"] = 3


def test_the_words_for_a_reference_are_those_of_its_function():
    assert module._CHOICES == {"to": (eeg_views.AVERAGE, eeg_views.BIPOLAR, eeg_views.LAPLACIAN)}


def test_what_a_run_does_not_ask_for_is_not_imported():
    code = "import sys, neurodata.windows.views; print('scipy.signal' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


@pytest.mark.parametrize("name", VIEWS)
def test_every_number_a_view_takes_has_bounds(name):
    for key, (annotation, default) in module._arguments(name).items():
        if {int, float} & {annotation, *getattr(annotation, "__args__", ())}:
            low, high = module._BOUNDS[key]
            assert default is inspect.Parameter.empty or default is None or low <= default <= high


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"bandpass": {}}, "no view 'bandpass'; did you mean 'band_pass'"),
        ("regress_confounds", "'regress_confounds' needs the confounds beside the signal"),
        ({"scrub": {"threshold_mm": 0.5}}, "'scrub' needs the displacement.*store the result as a signal"),
        ("notch", "view 'notch' needs the option 'line_hz': a number"),
        ({"notch": {"line": 50}}, "no notch option 'line'; did you mean 'line_hz'"),
        ({"notch": {"line_hz": 50, "stretch": [0, 1]}}, "'stretch' of view 'notch' is a part of one recording"),
        ({"remove_drift": {"fit_on": [0, 1]}}, "'fit_on' of view 'remove_drift' is a part of one recording"),
        ({"remove_drift": {"stretch": [0, 1]}}, "no remove_drift option 'stretch'"),
        ({"notch": {"line_hz": "5e1"}}, r"option 'line_hz' of view 'notch' is a number; got '5e1' \(str\)"),
        ({"notch": {"line_hz": True}}, r"is a number; got True \(bool\)"),
        ({"notch": {"line_hz": None}}, r"is a number; got None \(NoneType\)"),
        ({"notch": {"line_hz": 50, "harmonics": 2.0}}, r"is a whole number or null; got 2.0 \(float\)"),
        ({"notch": {"line_hz": 50, "causal": 1}}, r"is true or false; got 1 \(int\)"),
        ({"notch": {"line_hz": math.nan}}, "'line_hz' of view 'notch' is from 0.001 to 1e.09; got nan"),
        ({"notch": {"line_hz": 10**400}}, "is from 0.001 to 1e.09; got 1000"),
        ({"notch": {"line_hz": 1 << 99_999}}, "got a number too long to write"),
        ({"band_pass": {"low_hz": 1, "high_hz": None, "order": 10**9}}, "'order' of view 'band_pass' is from 1 to 20"),
        ({"band_pass": {"low_hz": 0, "high_hz": None}}, "'low_hz' of view 'band_pass' is from 1e-06 to"),
        ({"remove_drift": {"method": "liner"}}, "no remove_drift method 'liner'; did you mean 'linear'"),
        ({"remove_drift": {"method": 3}}, "is one of linear, polynomial, cosine; got 3"),
        ({"remove_drift": {"method": None}}, "is one of linear, polynomial, cosine; got None"),
        ({"re_reference": {"to": "averge"}}, "no re_reference to 'averge'; did you mean 'average'"),
        ({"re_reference": {"to": ["Cz", 3]}}, "is text or a list of texts; got .'Cz', 3. .list."),
        ({"re_reference": {"to": "average", "kind": ["eeg"]}}, "is text or null"),
        ({"re_reference": {"to": {"a": 1}}}, r"got \{'a': 1\} \(dict\)"),
        ({"re_reference": [1]}, "the options of view 're_reference' are names with values"),
        ({"notch": {1: 2}}, "an option of view 'notch' is named by text, got 1"),
        ({"notch": {"x" * 10**6: 2}}, "an option of view 'notch' is named by text, got 'xxx"),
        ({3: {}}, "a view's name is text, one of band_pass, .*; got 3"),
        ("x" * 10**6, "a view's name is text.*; got 'xxx"),
        ({"name": "notch"}, "a view is written as"),
        ({"name": "notch", "options": {"line_hz": 50}, "more": 1}, "a view is written as"),
        ({"name": ["notch"], "options": {}}, "a view's name is text"),
        ({"name": "remove_drift", "options": None}, "the options of view 'remove_drift' are names with values, got None"),
        ({"notch": {"line_hz": 50}, "remove_drift": {}}, "expected a name, or one name with its options"),
        ({}, "expected a name, or one name with its options"),
        (None, "expected a name.*; got None"),
        (["notch"], "expected a name"),
    ],
)  # fmt: skip
def test_what_is_no_view_is_refused_and_says_where(step, says):
    with pytest.raises(NeurodataError, match=rf"(?s)^view 2 of 2: .*{says}") as caught:
        make_views(["remove_drift", step])
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("steps", ["notch", {"notch": {"line_hz": 50}}, None, 3, View("remove_drift")], ids=repr)
def test_views_are_a_list(steps):
    with pytest.raises(NeurodataError, match="views are a list, applied in its order"):
        make_views(steps)


def test_views_are_not_piled_up_for_ever():
    with pytest.raises(NeurodataError, match="33 views one after the other; at most 32"):
        make_views(["remove_drift"] * 33)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["linear", "Cz"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OPTIONS = sorted({key for name in VIEWS for key in module._arguments(name)})


@given(st.sampled_from([*VIEWS, "name"]), JSON | st.dictionaries(st.sampled_from(OPTIONS), JSON, max_size=4))
def test_property_hostile_fields_are_refused_or_read_as_they_will_be_written(name, options):
    for fields in ({"name": name, "options": options}, {name: options}, options):
        try:
            (view,) = make_views([fields])
        except NeurodataError:
            continue
        assert make_views(json.loads(json.dumps([view.to_json()], allow_nan=False))) == (view,)


def test_causal_views_look_at_nothing_later():
    causal = make_views([STEPS["band"][0], STEPS["notch"][0], STEPS["average"][0]])
    assert (reach_seconds(causal), is_causal(causal), is_causal(())) == (0.0, True, True)
    whole = apply_views(made(), causal).values
    changed = made()
    changed = changed.copy(data=np.where(np.arange(300)[:, None] < 200, changed.values, 0.0))
    np.testing.assert_array_equal(apply_views(changed, causal).values[:200], whole[:200])


@pytest.mark.parametrize("name", ["low", "drift", "cosines"])
def test_views_that_look_ahead_say_so(name):
    views = make_views([STEPS["notch"][0], STEPS[name][0]])
    assert (reach_seconds(views), is_causal(views)) == (math.inf, False)
    signal = made()
    changed = signal.copy(data=signal.values + (np.arange(300) == 299)[:, None])
    assert (apply_views(changed, views).values[:290] != apply_views(signal, views).values[:290]).any()


LOOKING = make_views([{"band_pass": {"low_hz": 1, "high_hz": 40, "causal": False}}, {"notch": {"line_hz": 50}}])


@pytest.mark.parametrize("by", ["time", "intervals", "by hand"])
def test_views_that_look_ahead_are_refused_where_parts_share_recordings(by):
    says = rf"split by {by} cuts recordings.*\n  - band_pass\(.*causal=False.*: take causal=True.*\nor split by rec"
    with pytest.raises(LeakageError, match=says) as caught:
        check_views_leak(LOOKING, by)
    assert "notch" not in str(caught.value)
    with pytest.raises(LeakageError, match=r"remove_drift\(method='linear'.*take band_pass with low_hz"):
        check_views_leak(make_views(["remove_drift"]), by)
    check_views_leak(LOOKING[1:], by)
    check_views_leak((), by)


@pytest.mark.parametrize("by", ["subject", "recording"])
def test_views_may_look_ahead_where_parts_share_none(by):
    check_views_leak(LOOKING, by)


def test_a_split_is_asked_itself_whatever_it_says_it_is_by():
    one, other, third = Stretch("d/a", 0, 10), Stretch("d/a", 90, 99), Stretch("d/b", 0, 10)
    with pytest.raises(LeakageError, match=r"train and test share 1 recordings \(d/a for one\)"):
        check_views_leak(LOOKING, Split({"train": (one,), "test": (third, other)}, "recording"))
    check_views_leak(LOOKING, Split({"train": (one, other), "test": (third,)}, "intervals"))


@pytest.mark.filterwarnings("ignore:1 good channels:UserWarning")
def test_the_channels_that_views_leave_are_known_from_one_sample():
    views = make_views([STEPS["band"][0], {"re_reference": {"to": "bipolar"}}])
    assert [view.keeps_channels for view in views] == [True, False]
    found = channels_after(made(), views)
    assert found.sizes["time"] == 1
    xr.testing.assert_identical(found["label"], apply_views(made(), views)["label"])
    assert found["label"].values.tolist() == ["A1-A2", "A2-A3", "B1-B2"]
    signal = made()
    assert channels_after(signal, views[:1]) is signal
    assert not View("re_reference", {"to": "average", "kind": "seeg"}).keeps_channels


def test_displacement_is_a_view_of_motion():
    ids = ["rot_x", "rot_y", "rot_z", "trans_x", "trans_y", "trans_z"]
    values = np.cumsum(np.random.default_rng(0).normal(0, 0.01, (40, 6)), axis=0)
    motion = make_signal(
        values, channel_id=ids, units="mixed", rate_hz=0.5, columns={"units": ["rad"] * 3 + ["mm"] * 3}
    )
    views = make_views(["framewise_displacement"])
    xr.testing.assert_identical(apply_views(motion, views), framewise_displacement(motion))
    assert is_causal(views)
    assert channels_after(motion, views)["channel_id"].values.tolist() == ["framewise_displacement"]


def test_drifts_that_would_fill_the_memory_are_refused_before_they_are_made():
    lazy = make_signal(
        lazy_rows((3_600_000, 1), np.float32, lambda first, after: np.zeros((after - first, 1), np.float32)),
        channel_id=["a"], units="V", rate_hz=1000.0,
    )  # fmt: skip
    view = View("remove_drift", {"method": "cosine", "period_seconds": 1})
    with pytest.raises(NeurodataError, match=r"has 3600000 samples in 3600 s, too many to fit the 7200 cosines"):
        view.apply(lazy.rename("lfp"))
