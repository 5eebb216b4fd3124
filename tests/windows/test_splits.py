"""Splits keep apart what they say, and the leakage guard raises wherever a score could be flattered."""

from __future__ import annotations

import itertools
import re
import shutil
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.errors import IntegrityError, LeakageError, NeurodataError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal
from neurodata.store.store import open_store
from neurodata.store.table import write_index
from neurodata.store.write import write_recording
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Split, Stretch, check_leakage, check_unseen, describe, split_by


def recording(recording_id, subject, *, seconds=100.0, seed=None, start_seconds=0.0, split=None, times=None):
    dataset, _ = recording_id.split("/")
    seed = sum(map(ord, recording_id)) if seed is None else seed
    values = np.random.default_rng(seed).normal(size=(int(seconds * 2), 2))
    clock = {"time": times} if times is not None else {"rate_hz": 2.0, "start_seconds": start_seconds}
    signals = {"calcium": make_signal(values, channel_id=["a", "b"], units="dF/F", **clock)}
    intervals = {} if split is None else {"split": make_intervals(*zip(*[row[:2] for row in split]), label=[r[2] for r in split])}  # fmt: skip
    metadata = {
        "dataset": dataset, "recording_id": recording_id, "modality": "calcium",
        "subject": {"id": subject, "species": "Caenorhabditis elegans", "sex": "XX"},
    }  # fmt: skip
    return Recording(metadata, signals, {}, intervals)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Animal 1 twice in lab_a, once more in lab_b under another name, and animals 2 and 3."""
    folder = tmp_path_factory.mktemp("store")
    for recording_id, subject in [
        ("lab_a/mon", "one"), ("lab_a/tue", "one"), ("lab_a/wed", "two"), ("lab_b/x", "uno"), ("lab_b/y", "three"),
    ]:  # fmt: skip
        write_recording(recording(recording_id, subject), folder)
    return open_store(folder)


def ids(split, part):
    return split.recordings(part)


def two(train, test, *, by="time", **more):
    return Split({"train": tuple(train), "test": tuple(test)}, by, **more)


def test_by_subject_all_recordings_of_an_animal_move_together(store):
    split = split_by("subject", test=["lab_a/one"], validation=["two"]).apply(store)
    assert ids(split, "test") == ["lab_a/mon", "lab_a/tue"]
    assert ids(split, "validation") == ["lab_a/wed"]
    assert ids(split, "train") == ["lab_b/x", "lab_b/y"]
    check_leakage(split, 20.0)


def test_a_subject_may_be_named_by_one_of_its_recordings(store):
    assert ids(split_by("subject", test=["lab_a/tue"]).apply(store), "test") == ["lab_a/mon", "lab_a/tue"]


def test_one_name_may_be_given_as_text(store):
    assert split_by("subject", test="two").apply(store) == split_by("subject", test=["two"]).apply(store)


def test_by_recording_the_same_animal_may_be_on_both_sides(store):
    split = split_by("recording", test=["tue"]).apply(store)
    assert ids(split, "test") == ["lab_a/tue"]
    assert "lab_a/mon" in ids(split, "train")
    check_leakage(split, 20.0)


@pytest.mark.parametrize("name", ["uno", "lab_b/uno", "lab_b/x", "lab_a/one"])
def test_one_animal_under_two_names_moves_together_by_either_name(store, name):
    split = split_by("subject", test=[name], same_animal=[["lab_a/one", "lab_b/uno"]]).apply(store)
    assert ids(split, "test") == ["lab_a/mon", "lab_a/tue", "lab_b/x"]
    check_leakage(split, 20.0)


def test_groups_of_one_animal_that_share_a_name_are_one_animal(store):
    groups = [["lab_a/one", "lab_b/uno"], ["lab_b/uno", "lab_b/three"]]
    assert ids(split_by("subject", test=["one"], same_animal=groups).apply(store), "train") == ["lab_a/wed"]


def test_an_animal_named_for_two_parts_under_two_names_is_refused(store):
    rule = split_by("subject", test=["one"], validation=["uno"], same_animal=[["lab_a/one", "lab_b/uno"]])
    with pytest.raises(LeakageError, match=r"subject 'lab_a/one' is named for both validation and test"):
        rule.apply(store)


def test_a_misspelt_same_animal_is_refused(store):
    rule = split_by("subject", test=["one"], same_animal=[["lab_a/one", "lab_b/unno"]])
    with pytest.raises(NeurodataError, match=r"same_animal names 'lab_b/unno', .* did you mean 'lab_b/uno'\?"):
        rule.apply(store)


def test_same_animal_on_both_sides_of_a_split_made_by_hand_is_refused(store):
    made = split_by("subject", test=["uno"]).apply(store)
    check_leakage(made, 20.0)  # nobody has said that the two are one
    aliased = split_by("subject", test=["uno"], same_animal=[["lab_a/one", "lab_b/uno"]]).apply(store)
    split = Split(made.parts, "subject", aliased.subjects, made.contents)
    with pytest.raises(LeakageError, match=r"subject 'lab_a/one' is in both train and test"):
        check_leakage(split, 20.0)


def test_the_same_data_under_two_names_are_refused(tmp_path):
    for name in ("first", "copy"):
        write_recording(recording(f"lab_a/{name}", name, seed=7), tmp_path)
    with pytest.raises(LeakageError, match=r"lab_a/first .train. and lab_a/copy .test. hold the same data"):
        check_leakage(split_by("recording", test=["copy"]).apply(open_store(tmp_path)), 20.0)


def test_blocks_of_time_leave_the_guard_gap_and_nothing_else(store):
    split = split_by("time", validation=0.2, test=0.3, guard_seconds=10.0).apply(store)
    for name in store.recording_ids:
        train, validation, test = (
            next(s for s in split.parts[part] if s.recording_id == name) for part in ("train", "validation", "test")
        )
        assert (train.start, test.stop) == (0.0, pytest.approx(100.0))
        assert validation.start - train.stop == pytest.approx(10.0)
        assert test.start - validation.stop == pytest.approx(10.0)
        assert test.stop - test.start == pytest.approx(0.3 * 80)
    check_leakage(split, 10.0)
    with pytest.raises(LeakageError, match=r"10 s apart, windows reach 10.5 s; take guard_seconds=10.5 or more"):
        check_leakage(split, 10.5)


def test_blocks_of_time_without_validation_are_two(store):
    assert set(split_by("time", test=0.2, guard_seconds=5).apply(store).parts) == {"train", "test"}
    assert set(split_by("time", validation=0.2, guard_seconds=5).apply(store).parts) == {"train", "validation"}


def test_a_split_reaches_to_the_end_of_late_and_irregular_recordings(tmp_path):
    write_recording(recording("lab_a/late", "l", start_seconds=30.0), tmp_path)
    times = np.cumsum(np.random.default_rng(0).random(200) + 0.1)
    write_recording(recording("lab_a/odd", "o", times=times), tmp_path)
    split = split_by("recording", test=["late"]).apply(open_store(tmp_path))
    assert split.parts["test"][0].stop == pytest.approx(130.0)
    assert split.parts["train"][0].stop == pytest.approx(times[-1])


def test_a_recording_counted_in_frames_is_refused(tmp_path):
    calcium = make_signal(np.zeros((10, 1)), channel_id=["a"], units="dF/F")
    frames = recording("lab_a/frames", "f").replace(signals={"calcium": calcium})
    write_recording(frames, tmp_path)
    with pytest.raises(NeurodataError, match=r"duration of lab_a/frames is unknown: .* --set rate_hz=RATE"):
        split_by("recording", test=["frames"]).apply(open_store(tmp_path))


def published(tmp_path, rows):
    write_recording(recording("lab_a/w", "w", split=rows), tmp_path)
    return split_by("intervals", intervals="split").apply(open_store(tmp_path))


def test_published_intervals_are_followed_and_guarded(tmp_path):
    split = published(tmp_path, [(0, 40, "train"), (60, 100, "test"), (45, 46, "train")])
    assert [(s.start, s.stop) for s in split.parts["train"]] == [(0, 40), (45, 46)]
    check_leakage(split, 14.0)
    with pytest.raises(LeakageError, match=r"14 s apart, windows reach 20 s"):
        check_leakage(split, 20.0)


def test_published_intervals_with_unknown_labels_are_refused(tmp_path):
    with pytest.raises(NeurodataError, match=r"labelled dev, eval; expected train, validation, test"):
        published(tmp_path, [(0, 40, "train"), (50, 60, "eval"), (70, 80, "dev")])


def test_published_intervals_that_a_recording_lacks_are_refused(store):
    with pytest.raises(NeurodataError, match=r"no interval table 'split'"):
        split_by("intervals").apply(store)


@pytest.mark.parametrize(
    ("test_start", "leaks"),
    [
        pytest.param(30.0, True, id="touching"),
        pytest.param(25.0, True, id="overlapping"),
        pytest.param(29.0, True, id="inside"),
        pytest.param(52.0, False, id="exactly window + lag apart"),
        pytest.param(52.0 - 1 / 3, True, id="one sample less"),
        pytest.param(90.0, False, id="far"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_windows_that_touch_or_come_close_are_refused(test_start, leaks, swapped):
    sides = [Stretch("a/b", 10, 30)], [Stretch("a/b", test_start, test_start + 40)]
    split = two(*sides[::-1]) if swapped else two(*sides)
    if leaks:
        with pytest.raises(LeakageError, match=r"a/b: train \[.* s apart, windows reach 22 s"):
            check_leakage(split, 20.0, lag_seconds=2.0)
    else:
        check_leakage(split, 20.0, lag_seconds=2.0)


def test_a_lag_widens_the_guard():
    split = two([Stretch("a/b", 0, 30)], [Stretch("a/b", 50, 80)])
    check_leakage(split, 20.0)
    with pytest.raises(LeakageError, match=r"windows reach 21 s"):
        check_leakage(split, 20.0, lag_seconds=1.0)


def test_all_leaks_are_listed_at_once():
    split = two([Stretch("a/b", 0, 30), Stretch("a/c", 0, 9)], [Stretch("a/b", 30, 60), Stretch("a/c", 5, 60)])
    with pytest.raises(LeakageError, match=r"could not be believed:\n  - a/b: .*\n  - a/c: "):
        check_leakage(split, 5.0)


@pytest.mark.parametrize(
    ("window", "lag", "text"),
    [(0.0, 0.0, "window_seconds must be"), (float("nan"), 0, "window_seconds must be"), (5, -1.0, "lag_seconds must be"),
     (5, float("nan"), "lag_seconds must be")],
)  # fmt: skip
def test_a_guard_that_would_guard_nothing_is_refused(window, lag, text):
    with pytest.raises(NeurodataError, match=text):
        check_leakage(two([Stretch("a/b", 0, 30)], [Stretch("a/b", 30, 60)]), window, lag)


@pytest.mark.parametrize(("start", "stop"), [(float("nan"), 5), (0, float("nan")), (0, float("inf")), (5, 4)])
def test_a_stretch_no_guard_could_judge_is_refused(start, stop):
    with pytest.raises(NeurodataError, match=r"no stretch of time"):
        Stretch("a/b", start, stop)


stretches = st.lists(
    st.tuples(st.sampled_from(["a/b", "a/c"]), st.integers(0, 40), st.integers(1, 12)), min_size=1, max_size=4
).map(lambda rows: [Stretch(name, start / 2, (start + length) / 2) for name, start, length in rows])


@given(train=stretches, test=stretches, window=st.integers(1, 6), lag=st.integers(0, 4))
def test_property_no_window_comes_within_reach_of_another_part_unless_the_guard_raises(train, test, window, lag):
    rate_hz, window_seconds, lag_seconds = 2.0, window / 2, lag / 2
    try:
        check_leakage(two(train, test), window_seconds, lag_seconds)
    except LeakageError:
        return
    spans = []
    for part in (train, test):
        try:
            windows = make_windows(part, rate_hz, window_seconds)
        except NeurodataError:
            return  # no window fits
        spans.append([windows.locate(i) for i in range(len(windows))])
    for one, first in spans[0]:
        for other, second in spans[1]:
            gap = max(first, second) - (min(first, second) + window)  # samples between the two windows
            assert one != other or gap >= window + lag


@given(train=stretches, test=stretches)
def test_property_the_guard_raises_only_where_stretches_come_near(train, test):
    near = any(
        a.recording_id == b.recording_id and max(a.start, b.start) - min(a.stop, b.stop) < 2.5
        for a in train
        for b in test
    )
    if near:
        with pytest.raises(LeakageError):
            check_leakage(two(train, test), 2.0, 0.5)
    else:
        check_leakage(two(train, test), 2.0, 0.5)


@given(train=stretches, test=stretches, window=st.integers(1, 6))
def test_property_the_guard_lists_what_looking_at_every_pair_finds(train, test, window):
    reach, expected = window / 2, []
    for a, b in itertools.product(train, test):
        gap = max(a.start, b.start) - min(a.stop, b.stop)
        if a.recording_id == b.recording_id and gap < reach - 1e-9:
            expected.append(
                f"  - {a.recording_id}: train [{a.start:g}, {a.stop:g}) s and test [{b.start:g}, {b.stop:g}) s"
            )
    try:
        check_leakage(two(train, test), reach)
        found = []
    except LeakageError as error:
        found = [line.split(" are ")[0] for line in str(error).splitlines()[1:]]
    assert found == expected


def test_of_very_many_leaks_the_first_are_listed():
    train = [Stretch(f"a/{number}", 0, 30) for number in range(140)]
    with pytest.raises(LeakageError, match=r"a/0: .*\n  - a/1: (.*\n){99}  - and 40 more$"):
        check_leakage(two(train, train), 5.0)


def test_the_guard_compares_stretches_of_one_recording_only_and_near_ones_only():
    parts = [[], []]
    for number in range(5000):
        parts[number % 2].append(Stretch("a/long", number * 20.0, number * 20.0 + 10.0))
        parts[number % 2].append(Stretch(f"a/{number}", 0.0, 10.0))
    contents = {stretch.recording_id: stretch.recording_id for part in parts for stretch in part}
    split = two(*parts, by="recording", contents=contents | {"a/long": None})
    begin = time.process_time()
    check_leakage(split, 10.0)
    assert time.process_time() - begin < 2.5  # 0.05 s; looking at every pair took half a minute
    with pytest.raises(LeakageError, match=r"a/long: train \[0, 10\) s and test \[20, 30\) s are 10 s apart"):
        check_leakage(split, 10.5)


def test_a_split_is_made_from_the_table_without_opening_a_recording(tmp_path):
    for name in ("first", "second"):
        write_recording(recording(f"lab_a/{name}", name, start_seconds=30.0), tmp_path)
    write_index(tmp_path)
    for path in (tmp_path / "lab_a").glob("*/signals/calcium/channel_id"):
        shutil.rmtree(path)
    with pytest.raises(IntegrityError):
        open_store(tmp_path)["first"]
    split = split_by("recording", test=["first"]).apply(open_store(tmp_path))
    assert split.parts["test"] == (Stretch("lab_a/first", 0.0, 130.0),)


def test_of_very_many_known_names_the_first_are_listed(tmp_path):
    for number in range(53):
        write_recording(recording(f"lab_a/r{number:02d}", f"s{number:02d}", seconds=2.0), tmp_path)
    with pytest.raises(NeurodataError, match=r"known: lab_a/s00, .*lab_a/s49 and 3 more; did you mean 'lab_a/s52'"):
        split_by("subject", test=["lab_a/s522"]).apply(open_store(tmp_path))


def test_a_split_has_one_digest_whatever_the_order():
    a, b, c = Stretch("a/b", 0, 30), Stretch("a/c", 0.0, 9.5), Stretch("a/d", 1, 2)
    digest = Split({"train": (a, b), "test": (c,)}, "recording").digest
    assert digest == Split({"test": (c,), "train": (b, a)}, "recording").digest
    assert digest == Split({"train": (Stretch("a/b", 0.0, 30.0), b), "test": (c,)}, "recording").digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    others = [
        Split({"train": (a,), "test": (c, b)}, "recording"),
        Split({"train": (a, b), "test": (c,)}, "time"),
        Split({"train": (a, b), "validation": (c,)}, "recording"),
        Split({"train": (a, Stretch("a/c", 0.0, 9.6)), "test": (c,)}, "recording"),
    ]
    assert digest not in {other.digest for other in others}


def test_applying_a_rule_twice_gives_one_digest(store):
    rule = split_by("subject", test=["two"])
    assert rule.apply(store).digest == rule.apply(open_store(store.path)).digest
    assert describe(rule.apply(store))["parts"]["test"] == {"recordings": ["lab_a/wed"], "seconds": 100.0}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param({"by": "subjekt"}, "no split 'subjekt'; did you mean 'subject'", id="unknown kind"),
        pytest.param({"by": "time", "test": ["w"]}, "takes fractions, got", id="names by time"),
        pytest.param({"by": "trials", "test": ["w"]}, "a split by trials takes fractions, got", id="names by trials"),
        pytest.param({"by": "subject", "test": 0.2}, "takes lists of names, got", id="fraction by subject"),
        pytest.param({"by": "time", "test": 1.0}, "leave something to train on", id="nothing left"),
        pytest.param({"by": "time", "test": -0.1}, "leave something to train on", id="negative"),
        pytest.param({"by": "time", "test": float("nan")}, "leave something to train on", id="NaN"),
        pytest.param({"by": "time", "test": 0.1, "guard_seconds": -1}, "guard_seconds must be 0 or more", id="guard"),
    ],
)
def test_wrong_arguments_are_refused(arguments, text):
    with pytest.raises(NeurodataError, match=re.escape(text)):
        split_by(**arguments)


def test_unknown_names_are_refused_with_the_known_ones(store):
    with pytest.raises(NeurodataError, match=r"no subject 'thre' to put into test; known: lab_a/one.* did you mean"):
        split_by("subject", test=["thre"]).apply(store)


def test_a_part_left_empty_is_refused(store):
    with pytest.raises(NeurodataError, match=r"leaves train empty; the store has 5 recordings"):
        split_by("recording", test=["mon", "tue", "wed", "x", "y"]).apply(store)


def trials_store(folder, rows, names=("mon", "tue")):
    for name in names:
        table = make_intervals(*zip(*rows))
        write_recording(recording(f"lab_a/{name}", name, seconds=1000.0).replace(intervals={"trials": table}), folder)
    return open_store(folder)


APART = [(10.0 * number, 10.0 * number + 4.0) for number in range(100)]


def test_trials_are_dealt_out_by_their_shares_whole_and_each_once(tmp_path):
    store = trials_store(tmp_path, APART)
    split = split_by("trials", validation=0.1, test=0.2, guard_seconds=5.0).apply(store)
    for name in store.recording_ids:
        dealt = {part: [s for s in found if s.recording_id == name] for part, found in split.parts.items()}
        assert {part: len(found) for part, found in dealt.items()} == {"train": 70, "validation": 10, "test": 20}
        together = sorted((s.start, s.stop) for found in dealt.values() for s in found)
        assert together == APART
        assert all(found == sorted(found) for found in dealt.values())
    check_leakage(split, 6.0)
    starts = [{s.start for s in split.parts["test"] if s.recording_id == name} for name in store.recording_ids]
    assert starts[0] != starts[1]


def test_dealing_trials_depends_on_the_seed_and_on_no_other_recording(tmp_path):
    store = trials_store(tmp_path / "two", APART)
    rule = split_by("trials", test=0.2)
    assert rule.apply(store).digest == rule.apply(store).digest
    assert rule.apply(store).digest != split_by("trials", test=0.2, seed=1).apply(store).digest
    alone = rule.apply(trials_store(tmp_path / "one", APART, ["tue"])).parts["test"]
    assert alone == tuple(s for s in rule.apply(store).parts["test"] if s.recording_id == "lab_a/tue")


def test_trials_too_close_to_a_scored_one_are_in_no_part(tmp_path):
    back_to_back = [(10.0 * number, 10.0 * number + 10.0) for number in range(100)]
    store = trials_store(tmp_path, [*back_to_back, (500.0, 508.0)])
    close = split_by("trials", validation=0.1, test=0.1).apply(store)
    with pytest.raises(LeakageError, match=r"0 s apart, windows reach 4 s"):
        check_leakage(close, 4.0)
    split = split_by("trials", validation=0.1, test=0.1, guard_seconds=4.0).apply(store)
    check_leakage(split, 4.0)
    assert split.parts["test"] == close.parts["test"]
    assert 0 < len(split.parts["train"]) < len(close.parts["train"])


def test_trials_that_a_recording_lacks_or_too_few_of_them_are_refused(store, tmp_path):
    with pytest.raises(NeurodataError, match=r"no interval table 'trials'"):
        split_by("trials", test=0.2).apply(store)
    with pytest.raises(NeurodataError, match=r"the split leaves test empty"):
        split_by("trials", test=0.2).apply(trials_store(tmp_path, APART[:2]))


@pytest.mark.parametrize("nothing", [(), [], 0, 0.0])
def test_a_part_nobody_asked_for_is_left_out(nothing):
    assert set(split_by("time", validation=nothing, test=0.2).fractions) == {"train", "test"}
    assert set(split_by("trials", test=nothing, validation=0.2).fractions) == {"train", "validation"}


def test_a_guard_gap_longer_than_a_recording_is_refused(store):
    with pytest.raises(NeurodataError, match=r"lab_a/mon lasts 100 s, less than the guard gaps of 120 s"):
        split_by("time", test=0.5, guard_seconds=120).apply(store)


def test_check_unseen_knows_animals_not_only_recordings():
    subjects = {"a/mon": "a/one", "a/tue": "a/one", "a/wed": "a/two"}
    check_unseen(["a/wed"], ["a/mon"], subjects, "net")
    with pytest.raises(LeakageError, match=r"net was trained on a/one and cannot be scored on it; pretrain without"):
        check_unseen(["a/wed", "a/tue"], ["a/mon"], subjects, "net")
    with pytest.raises(LeakageError, match=r"trained on b/z"):
        check_unseen(["b/z"], ["b/z"], {}, "net")
