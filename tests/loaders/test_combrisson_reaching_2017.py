"""The sEEG trials: nothing is lost, phases stand where the file's times put them."""

from __future__ import annotations

import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.combrisson_reaching_2017 import CombrissonReaching2017

SESSION = "combrisson_reaching_2017/patient1"


def test_published_values_are_kept(real_data):
    folder = real_data("ieeg/combrisson2017-seeg")
    expected = np.load(folder / "seeg_data_pac.npz", allow_pickle=False)
    recording = CombrissonReaching2017(folder).load(SESSION)
    values = recording.signals_stored["seeg"].values
    np.testing.assert_array_equal(values.reshape(expected["data"].shape), expected["data"], strict=True)
    trials, phase = recording.intervals["trials"], recording.intervals["phase"]
    times = recording.signals["seeg"].time.values.reshape(160, 4001) - trials["zero_seconds"].values[:, None]
    np.testing.assert_allclose(times, np.broadcast_to(expected["times"], times.shape), atol=1e-9)
    assert phase.sizes["interval"] == 3 * 160
    assert set(zip(phase["label"].values.tolist(), phase["code"].values.tolist())) == {
        ("baseline", 0), ("planning", 1), ("execution", 2)
    }  # fmt: skip


def test_phases_begin_and_end_at_their_times(tmp_path, fake_raw):
    fake_raw("combrisson_reaching_2017").write_raw(tmp_path / "raw")
    recording = CombrissonReaching2017(tmp_path / "raw").load(SESSION)
    phase = recording.intervals["phase"].to_dataframe().query("trial == 1")
    assert phase["start"].tolist() == [5.0, 5.9375, 7.4375]
    assert phase["stop"].tolist() == [5.9375, 7.4375, 8.75]
    cut = recording.signals["seeg"].sel(time=slice(5.9375, 7.4375))
    assert cut.sizes["time"] == 96


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"data": np.zeros((4, 9), np.int32)}, "expected integers", id="other length"),
        pytest.param({"sf": np.array(1.0)}, "takes less than 5.0 s", id="trials that overlap"),
        pytest.param({"sf": np.array(np.nan)}, "takes less than 5.0 s", id="no rate"),
        pytest.param({"sf": np.array(65.0)}, "are not 65.0 Hz apart", id="another rate than the times"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, fake_raw, change, message):
    path = tmp_path / "seeg_data_pac.npz"
    np.savez(path, **(fake_raw("combrisson_reaching_2017").arrays() | change))
    with pytest.raises(RawFileError, match=message):
        CombrissonReaching2017(path).load(SESSION)


def test_other_archives_are_not_claimed(tmp_path, fake_raw):
    path = tmp_path / "seeg_data_pac.npz"
    np.savez(path, data=np.zeros(3))
    assert CombrissonReaching2017.claim(path) == []
    with pytest.raises(RawFileError, match=r"expected seeg_data_pac\.npz with the arrays data, sf, times"):
        CombrissonReaching2017(tmp_path).sessions()
