"""A recording is decoded once, as `prepare` would; what was rewritten or damaged since is told, not mixed in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from neurodata.errors import IntegrityError, NeurodataError
from neurodata.store.read import open_recording
from neurodata.store.write import write_recording
from neurodata.windows.cache import DecodedCache
from neurodata.windows.decoded import decode_all, open_decoded, read_facts
from neurodata.windows.decoding import Decoding, read_digests
from neurodata.windows.make_spec import join_facts, make_spec, spec_facts
from neurodata.windows.prepare import prepare
from neurodata.windows.views import View

SPEC = {"inputs": "calcium", "rate_hz": 3.0, "window_seconds": 4.0}


@pytest.fixture
def cache(tmp_path):
    return DecodedCache(tmp_path / "cache")


def spec_of(worms, **options):
    return make_spec([open_recording(worms / "made_up/w1")], **(SPEC | options))


def same(one, other):
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.channel_ids, other.channel_ids)
    if one.target is None:
        assert other.target is None
    else:
        np.testing.assert_array_equal(one.target, other.target)
        assert one.target.dtype == other.target.dtype


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({}, {}),
        ({"target": "state"}, {}),
        ({"target": "wheel"}, {"channels": "all"}),
        ({"rate_hz": 2.9, "window_seconds": 10.0}, {}),
        ({"target": "wheel"}, {"causal": True}),
        ({"views": (View("band_pass", {"low_hz": 0.1, "high_hz": None}),)}, {}),
    ],
    ids=["resampled", "classes", "continuous", "its own clock", "causal", "filtered"],
)
def test_what_is_cached_is_what_prepare_gives(worms, cache, options, how):
    decoding = Decoding(spec_of(worms, **options), **how)
    expected = prepare(open_recording(worms / "made_up/w1"), decoding.spec, **how)
    first = open_decoded(worms, "made_up/w1", decoding, cache)
    same(first, expected)
    made = len(cache.list())
    same(open_decoded(worms, "made_up/w1", decoding, cache), expected)
    assert len(cache.list()) == made == (2 if decoding.spec.target else 1)


def test_another_target_uses_the_same_activity(worms, cache):
    for target in ("state", "wheel", ""):
        open_decoded(worms, "made_up/w1", Decoding(spec_of(worms, target=target)), cache)
    assert sorted(cache.list()["what"]) == [
        "made_up/w1 calcium 3 Hz float32",
        "made_up/w1 state 3 Hz",
        "made_up/w1 wheel 3 Hz",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"rate_hz": 6.0, "window_samples": 24},
        {"identity": "channel_id"},
        {"vocabulary": ("AVAL", "AVAR")},
        {"views": (View("notch", {"line_hz": 0.5, "width_hz": 0.1}),)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_decides_the_values_is_in_the_key(worms, changed):
    spec, digests = spec_of(worms), read_digests(worms / "made_up/w1")
    other = dataclasses.replace(spec, groups=(), channels=(), **changed)
    assert Decoding(spec).input_key(digests) != Decoding(other).input_key(digests)
    assert Decoding(spec).input_key(digests) != Decoding(spec, causal=True).input_key(digests)
    assert Decoding(spec).input_key(digests) != Decoding(spec).input_key(read_digests(worms / "made_up/w2"))


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_a_smaller_cache_stays_within_its_stated_error(worms, cache, dtype):
    spec = spec_of(worms)
    exact = prepare(open_recording(worms / "made_up/w1"), spec).values
    small = open_decoded(worms, "made_up/w1", Decoding(spec, dtype=dtype), cache)
    entry = cache.open(Decoding(spec, dtype=dtype).input_key(read_digests(worms / "made_up/w1")))
    error = np.nanmax(np.abs(small.values - exact), axis=0)
    assert entry.arrays["values"].itemsize == 2
    assert (error <= np.asarray(entry.facts["largest_error"]) * (1 + 1e-6)).all()
    assert (error <= 1e-3 * np.nanmax(np.abs(exact), axis=0)).all()
    np.testing.assert_array_equal(np.isnan(small.values), np.isnan(exact))
    with pytest.raises(NeurodataError, match=r"no cache dtype 'float8'"):
        Decoding(spec, dtype="float8")


@pytest.fixture
def own(made, tmp_path):
    """A store that may be written."""
    return made.write_worms(tmp_path / "own")


def rewrite(store, factor=10.0):
    worm = open_recording(store / "made_up/w1")
    signals = {"calcium": worm.signals["calcium"].copy(data=worm.signals["calcium"].values * factor), "wheel": worm.signals["wheel"].compute()}  # fmt: skip
    write_recording(worm.replace(signals=signals), store, overwrite=True)


def test_a_recording_rewritten_before_it_is_decoded_is_refused(own, cache):
    decoding, digests = Decoding(spec_of(own)), read_digests(own / "made_up/w1")
    rewrite(own)
    with pytest.raises(IntegrityError, match=r"'made_up/w1' was rewritten since this run began; .* Start the run anew"):
        open_decoded(own, "made_up/w1", decoding, cache, digests)
    assert cache.list().empty
    same(open_decoded(own, "made_up/w1", decoding, cache), prepare(open_recording(own / "made_up/w1"), decoding.spec))


def test_a_recording_rewritten_while_it_is_decoded_is_refused(own, cache, monkeypatch):
    import neurodata.windows.decoded as module

    decoding, digests = Decoding(spec_of(own)), read_digests(own / "made_up/w1")
    blocks = module.sample_blocks

    def rewriting(*arguments):
        found = list(blocks(*arguments))
        rewrite(own)
        return found

    monkeypatch.setattr(module, "sample_blocks", rewriting)
    with pytest.raises(IntegrityError, match="was rewritten since this run began"):
        open_decoded(own, "made_up/w1", decoding, cache, digests)
    assert cache.list().empty


def test_what_was_decoded_before_a_rewrite_stays_as_it_was(own, cache):
    decoding, digests = Decoding(spec_of(own)), read_digests(own / "made_up/w1")
    before = open_decoded(own, "made_up/w1", decoding, cache, digests)
    values = before.values.copy()
    rewrite(own)
    np.testing.assert_array_equal(before.values, values)
    same(open_decoded(own, "made_up/w1", decoding, cache, digests), before)
    assert not np.array_equal(open_decoded(own, "made_up/w1", decoding, cache).values, values)


def test_a_flipped_byte_in_the_store_is_noticed_and_nothing_is_kept(own, cache):
    spec = spec_of(own)
    file = next(path for path in (own / "made_up/w1/signals/calcium/calcium/c").rglob("*") if path.is_file())
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"'made_up/w1'.*calcium.* is damaged"):
        open_decoded(own, "made_up/w1", Decoding(spec), cache)
    assert cache.list().empty


def test_all_are_decoded_at_once_and_the_first_mistake_ends_it(worms, cache):
    names = [f"made_up/w{k}" for k in (1, 2, 3)]
    digests = {name: read_digests(worms / name) for name in names}
    seen = []
    decode_all(worms, names, Decoding(spec_of(worms)), cache, digests, lambda *said: seen.append(said))
    assert [said[:2] for said in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {said[2] for said in seen} == set(names)
    spec = dataclasses.replace(spec_of(worms, target="state"), target="movie")
    with pytest.raises(NeurodataError, match="movie"):
        decode_all(worms, names, Decoding(spec), cache, digests, lambda *said: None)


def test_facts_of_recordings_are_kept_and_give_the_same_spec(worms, cache):
    asked = {"inputs": "calcium", "target": "state", "identity": "label"}
    names = [f"made_up/w{k}" for k in (1, 2, 3)]
    digests = {name: read_digests(worms / name) for name in names}
    recordings = [open_recording(worms / name) for name in names]
    for _ in range(2):
        facts = read_facts(worms, digests, cache, **asked)
        assert facts == [spec_facts(recording, **asked) for recording in recordings]
        joined = join_facts(facts, rate_hz=3.0, window_seconds=4.0, **asked)
        assert joined == make_spec(recordings, rate_hz=3.0, window_seconds=4.0, **asked)
    assert cache.list()["what"].tolist() == ["names in calcium of 3 recordings"]


def test_views_of_events_are_refused(made):
    from neurodata.recording.timed import make_events, make_units

    worm = made.made_worm("made_up/w1").replace(
        events={"spikes": make_events([1.0, 2.0], unit=[0, 1])}, units=make_units(["a", "b"])
    )
    with pytest.raises(NeurodataError, match=r"'spikes' are events, which notch cannot be applied to"):
        make_spec([worm], **(SPEC | {"inputs": "spikes", "views": (View("notch", {"line_hz": 50.0}),)}))
