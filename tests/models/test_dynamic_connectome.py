"""Motifs of simulated animals whose groups, times and animals are known; gaps, blocks, new animals, bad input."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from neurodata.analyses.affinity import affinity_blocks, bin_times
from neurodata.errors import NeurodataError
from neurodata.models import DynamicConnectome
from neurodata.models.checkpoints import from_pretrained, save_pretrained
from neurodata.simulate.dynamic_communities import simulate_dynamic_communities

RATE = 4.0


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Arrays this small gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fitted(made, **options):
    options = {"random_state": 0, "community_method": None, **options}
    return DynamicConnectome(**options).fit(made.traces, made.rate_hz)


def recovered(made, model):
    """Per group: AUC of its pairs, Jaccard of its eight strongest neurons, correlations in time and over animals."""
    first, second = model.pairs_
    weights = model.motifs_[:, first, second]
    auc = np.array([[roc_auc_score(group[first] & group[second], one) for one in weights] for group in made.members])
    rows = []
    for group, motif in zip(*linear_sum_assignment(-auc)):
        strongest = np.argsort(-np.nansum(model.motifs_[motif], axis=0))[:8]
        found, true = set(strongest.tolist()), set(np.flatnonzero(made.members[group]).tolist())
        window = made.active[group].reshape(-1, model.bin_frames).mean(axis=1)
        in_time = np.corrcoef(model.time_courses_[motif], window)[0, 1]
        present = made.animals[group]
        over_animals = np.nan if present.all() else np.corrcoef(model.loadings_[:, motif], present)[0, 1]
        rows.append((auc[group, motif], len(found & true) / len(found | true), in_time, over_animals))
    return np.array(rows)


def check_gates(n_seeds):
    """The published protocol: groups in every simulation; times and animals in all but one, and on average."""
    found = np.stack(
        [recovered(made, fitted(made, random_state=seed)) for seed, made in
         ((seed, simulate_dynamic_communities(seed=seed)) for seed in range(n_seeds))]
    )  # fmt: skip
    assert (found[:, :, 0] >= 0.98).all()
    assert (found[:, :2, 1] >= 0.9).all()
    assert (np.sort(found[:, :, 2], axis=0)[1] >= 0.5).all()
    assert (found[:, :, 2].mean(axis=0) >= 0.5).all()
    assert (found[:, 2, 3] >= 0.5).sum() >= n_seeds - 1
    assert found[:, 2, 3].mean() >= 0.5


def test_groups_their_times_and_their_animals_are_recovered():
    check_gates(3)


@pytest.mark.slow
def test_groups_their_times_and_their_animals_are_recovered_in_many_simulations():
    check_gates(12)


def test_nothing_is_recovered_where_neurons_are_shuffled_in_each_animal():
    made = simulate_dynamic_communities()
    rng = np.random.default_rng(0)
    shuffled = np.stack([animal[:, rng.permutation(30)] for animal in made.traces])
    model = DynamicConnectome(community_method=None, random_state=0).fit(shuffled, RATE)
    assert recovered(made, model)[:, 0].max() < 0.9


def test_missing_neurons_are_left_out_not_taken_for_silent():
    made = simulate_dynamic_communities(n_animals=8, missing=0.3, seed=2)
    model = fitted(made)
    found = recovered(made, model)
    assert (found[:2, 0] >= 0.98).all()
    assert (found[:2, 1] >= 0.9).all()


def test_pairs_that_no_animal_has_stay_unknown():
    made = simulate_dynamic_communities()
    made.traces[:3, :, 0] = made.traces[3:, :, 1] = np.nan
    model = fitted(made)
    assert np.isnan(model.motifs_[:, 0, 1]).all()
    unknown = np.isnan(model.motifs_[0])
    assert np.argwhere(unknown & ~np.eye(30, dtype=bool)).tolist() == [[0, 1], [1, 0]]
    np.testing.assert_array_equal(model.motifs_, model.motifs_.transpose(0, 2, 1))


def test_a_slow_drift_makes_a_motif_of_all_pairs_unless_it_is_taken_off():
    made = simulate_dynamic_communities(drift=5.0)
    plain, detrended = fitted(made), fitted(made, detrend_seconds=10.0)
    assert recovered(made, plain)[:, 2].max() < 0.5
    found = recovered(made, detrended)
    assert (found[:, 0] >= 0.98).all()
    assert (found[:2, 1] >= 0.9).all()
    assert (found[:, 2] >= 0.5).all()
    # Even weights over all pairs, and the drift's own course (both its slopes count: twice its frequency).
    weights = plain.motifs_[:, plain.pairs_[0], plain.pairs_[1]]
    evenness = weights.mean(axis=1) / np.sqrt((weights**2).mean(axis=1))
    steep = np.abs(np.cos(2 * np.pi * plain.time_ / 40.0))
    like_drift = np.array([np.corrcoef(course, steep)[0, 1] for course in plain.time_courses_])
    assert ((evenness > 0.9) & (like_drift > 0.5)).any()


def test_blocks_give_what_the_whole_gives():
    made = simulate_dynamic_communities(missing=0.2, seed=1)
    whole, blocks = (fitted(made, whole_mb=size, max_iter=8, n_restarts=1) for size in (512.0, 0.5))
    np.testing.assert_allclose(blocks.motifs_, whole.motifs_, rtol=1e-3, atol=1e-3 * np.nanmax(whole.motifs_))
    np.testing.assert_allclose(blocks.time_courses_, whole.time_courses_, atol=1e-2)
    np.testing.assert_allclose(blocks.loadings_, whole.loadings_, atol=1e-2)
    assert blocks.error_ == pytest.approx(whole.error_, abs=1e-5)


def test_scales_are_as_promised_and_give_the_affinities_back():
    made = simulate_dynamic_communities()
    model = fitted(made)
    np.testing.assert_allclose(np.sqrt(np.mean(model.time_courses_**2, axis=1)), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(model.loadings_**2, axis=0)), 1.0, rtol=1e-5)
    tensor = affinity_blocks(made.traces, RATE, bin_frames=2).whole()
    weights = model.motifs_[:, model.pairs_[0], model.pairs_[1]]
    fit = np.einsum("rp,rt,ar->pta", weights, model.time_courses_, model.loadings_)
    assert np.linalg.norm(tensor - fit) / np.linalg.norm(tensor) == pytest.approx(model.error_, abs=1e-4)
    np.testing.assert_allclose(model.time_, bin_times(480, RATE, 2))


def test_an_animal_of_the_fit_gets_its_loadings_again_in_any_order_of_neurons():
    made = simulate_dynamic_communities()
    names = [f"N{i}" for i in range(30)]
    model = DynamicConnectome(community_method=None, random_state=0).fit(made.traces, RATE, names)
    again = model.transform(made.traces[:, :, ::-1], names=names[::-1])
    np.testing.assert_allclose(again, model.loadings_, atol=1e-3)
    fewer = model.transform(made.traces[:, :, :20], names=names[:20])
    assert np.corrcoef(fewer.ravel(), again.ravel())[0, 1] > 0.8


def test_new_animals_show_when_a_group_is_active_though_the_motifs_are_of_others():
    made, new = simulate_dynamic_communities(seed=0), simulate_dynamic_communities(seed=7, n_animals=4)
    model = fitted(made, rank=4)
    courses = model.time_courses(new.traces)
    assert [course.shape for course in courses] == [(4, 240)] * 4
    first, second = model.pairs_
    weights = model.motifs_[:, first, second]
    for group in (0, 1):
        auc = [roc_auc_score(new.members[group][first] & new.members[group][second], one) for one in weights]
        active = new.active[group].reshape(-1, 2).mean(axis=1) > 0.5
        mean = np.mean([course[int(np.argmax(auc))] for course in courses], axis=0)
        assert roc_auc_score(active, mean) > 0.75


def test_animals_without_a_common_clock_have_courses_of_their_own():
    made = simulate_dynamic_communities()
    shifted = [np.roll(animal, 60 * place, axis=0)[: 480 - 20 * place] for place, animal in enumerate(made.traces)]
    model = DynamicConnectome(4, shared_time=False, community_method=None, random_state=0).fit(shifted, RATE)
    assert [course.shape[1] for course in model.time_courses_] == [240 - 10 * place for place in range(6)]
    assert [len(time) for time in model.time_] == [240 - 10 * place for place in range(6)]
    first, second = model.pairs_
    for group in range(3):
        pairs = made.members[group][first] & made.members[group][second]
        auc = [roc_auc_score(pairs, motif[first, second]) for motif in model.motifs_]
        motif = int(np.argmax(auc))
        assert auc[motif] >= 0.98
        for place in np.flatnonzero(made.animals[group]):
            window = np.roll(made.active[group], 60 * place)[: 480 - 20 * place].reshape(-1, 2).mean(axis=1) > 0.5
            assert roc_auc_score(window, model.time_courses_[place][motif]) > 0.6
        if group == 2:
            assert np.corrcoef(model.loadings_[:, motif], made.animals[2])[0, 1] > 0.5
    again = model.transform(shifted)
    np.testing.assert_allclose(again, model.loadings_, rtol=0.02)


def test_the_dataset_of_homogenised_recordings_is_taken_as_it_is():
    made = simulate_dynamic_communities()
    made.traces[2, 400:] = np.nan
    worms = xr.Dataset(
        {"activity": (("recording", "time", "channel"), made.traces)},
        coords={"channel": [f"N{i}" for i in range(30)]},
        attrs={"rate_hz": RATE},
    )
    options = {"shared_time": False, "community_method": None, "random_state": 0}
    model = DynamicConnectome(3, **options).fit(worms)
    assert model.names_ == [f"N{i}" for i in range(30)]
    assert np.isnan(model.time_courses_[2]).any(axis=0).nonzero()[0].tolist() == list(range(200, 240))
    plain = DynamicConnectome(3, **options).fit(made.traces, RATE)
    np.testing.assert_array_equal(plain.motifs_, model.motifs_)
    np.testing.assert_allclose(model.transform(worms), model.loadings_, rtol=0.02)
    assert 0 < model.score(worms) < 1


def test_motifs_explain_hidden_entries_of_new_animals_better_than_one_pattern_does():
    made, new = simulate_dynamic_communities(seed=0), simulate_dynamic_communities(seed=5)
    many, one = fitted(made), fitted(made, rank=1)
    gain = many.score(new.traces) - one.score(new.traces)
    noise = np.random.default_rng(1).standard_normal((2, 480, 30))
    others = new.traces[:, :, np.random.default_rng(0).permutation(30)]
    assert 0.03 < gain < 1
    assert many.score(noise) - one.score(noise) < gain / 5
    assert many.score(others) - one.score(others) < gain / 5


def test_communities_of_a_motif_are_its_groups():
    # Of a motif that lies over the background of all pairs (often the third group's) the block model sees less.
    made = simulate_dynamic_communities()
    model = fitted(made, rank=4, community_method="sbm", n_restarts=2)
    assert len(model.communities_) == 4
    for group in made.members[:2]:
        found = [
            adjusted_rand_score(group, one.labels == label)
            for one in model.communities_
            for label in np.unique(one.labels)
        ]
        assert max(found) == 1.0


def test_it_is_a_scikit_learn_estimator_and_the_same_seed_gives_the_same_motifs():
    made = simulate_dynamic_communities()
    model = DynamicConnectome(3, community_method=None, max_iter=20, random_state=4)
    assert clone(model).get_params() == model.get_params()
    assert "rank=3" in repr(model)
    first = clone(model).fit(made.traces, RATE).motifs_
    np.testing.assert_array_equal(clone(model).fit(made.traces, RATE).motifs_, first)
    assert not np.array_equal(clone(model).set_params(random_state=5).fit(made.traces, RATE).motifs_, first)


def test_it_is_saved_and_opened(tmp_path):
    model = fitted(simulate_dynamic_communities(), rank=3, max_iter=10)
    save_pretrained(model, tmp_path, {"seed": 0})
    opened = from_pretrained(tmp_path)
    for mine, theirs in zip(opened.network.factors, model.task_.network.factors):
        np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy())


def fit_large(size, whole_mb):
    """What makes a fit in blocks, a fifth of the neurons missing, one sweep; size is (animal, time, neuron)."""
    rng = np.random.default_rng(0)
    traces = rng.standard_normal(size)
    np.copyto(traces, np.nan, where=rng.random((size[0], 1, size[2])) < 0.2)
    options = {"bin_frames": 1, "n_restarts": 1, "max_iter": 1, "community_method": None, "random_state": 0}
    return lambda: DynamicConnectome(3, whole_mb=whole_mb, **options).fit(traces, 4.0)


MEASURABLE = pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="the system does not tell a peak")


@MEASURABLE
def test_affinities_are_never_whole_in_memory(grown_mb):
    n_animals, n_frames, n_neurons = size = (20, 1000, 60)
    whole = n_neurons * (n_neurons - 1) / 2 * n_frames * n_animals * 4 / 2**20
    assert whole > 130
    assert grown_mb(fit_large(size, 32.0)) < 80


@MEASURABLE
@pytest.mark.slow
def test_three_hundred_neurons_of_a_hundred_animals_fit_into_two_gigabytes(grown_mb):
    assert grown_mb(fit_large((100, 3000, 300), 512.0)) < 2000


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        pytest.param(lambda x: x[:, :, :1], (RATE,), "two or more, got 1", id="one neuron"),
        pytest.param(lambda x: x[0], (RATE,), r"of one animal pass traces\[None\]", id="one animal without its axis"),
        pytest.param(lambda x: x, (), "rate_hz is missing", id="no rate"),
        pytest.param(lambda x: x, (-1.0,), "rate_hz must be a positive number", id="negative rate"),
        pytest.param(lambda x: x, (RATE, ["a"]), "1 names for 30 neurons", id="too few names"),
        pytest.param(lambda x: x, (RATE, ["a"] * 30), "name of its own, got 'a'", id="doubled names"),
        pytest.param(lambda x: [x[0], x[1][:300]], (RATE,), "share no clock.*shared_time=False", id="lengths"),
        pytest.param(lambda x: x[:, :10], (RATE,), "10 frames are too short", id="too short for the smoothing"),
        pytest.param(
            lambda x: np.where(np.arange(30) == 4, np.nan, x), (RATE,), "neuron 4 is missing .* in every", id="all NaN"
        ),
    ],
)
def test_bad_traces_are_refused(change, arguments, message):
    with pytest.raises(NeurodataError, match=message):
        DynamicConnectome().fit(change(simulate_dynamic_communities().traces), *arguments)


def test_a_motif_that_died_out_has_no_communities():
    time = np.arange(400) / RATE
    wave = np.sin(0.7 * time) + np.sin(0.31 * time)
    model = DynamicConnectome(2, n_restarts=2, random_state=0).fit(np.stack([wave, wave, -wave], axis=1)[None], RATE)
    assert np.nanmax(model.motifs_[1]) == 0
    assert [found.n_communities for found in model.communities_] == [0, 0]
    np.testing.assert_array_equal(model.communities_[1].labels, 0)


def test_bad_options_are_refused():
    made = simulate_dynamic_communities()
    with pytest.raises(NeurodataError, match="no kernel 'product'"):
        DynamicConnectome(kernel="product").fit(made.traces, RATE)
    with pytest.raises(NeurodataError, match=r"rank must be a positive whole number, got \[2\]"):
        DynamicConnectome([2]).fit(made.traces, RATE)
    with pytest.raises(NeurodataError, match=r"bin_frames must be a positive whole number, got 2\.5"):
        DynamicConnectome(bin_frames=2.5).fit(made.traces, RATE)
    with pytest.raises(NeurodataError, match="whole_mb must be a positive number"):
        DynamicConnectome(whole_mb=0).fit(made.traces, RATE)
    worms = xr.Dataset({"calcium": ("time", [0.0])})
    with pytest.raises(NeurodataError, match=r"dataset of nd\.homogenise"):
        DynamicConnectome().fit(worms)


def test_new_animals_that_do_not_fit_are_refused():
    made = simulate_dynamic_communities()
    names = ["AVAL", *(f"N{i}" for i in range(1, 30))]
    model = DynamicConnectome(2, community_method=None, max_iter=5).fit(made.traces, RATE, names)
    with pytest.raises(NeurodataError, match="not among them: 'AVAM'; did you mean 'AVAL'"):
        model.transform(made.traces, names=["AVAM", *names[1:]])
    with pytest.raises(NeurodataError, match=r"4 Hz, these traces have 3 Hz; resample"):
        model.transform(made.traces, 3.0)
    with pytest.raises(NeurodataError, match=r"480 frames long, these animals have 400.*time_courses\(\)"):
        model.transform(made.traces[:, :400])
    with pytest.raises(NeurodataError, match="animal 0: no two neurons"):
        model.time_courses(np.full((1, 480, 30), np.nan))
