"""Haxby et al. 2001: both variants to the bit, masks, blocks, motion, and what is refused."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.datasets.haxby_objects_2001 import CATEGORIES, HaxbyObjects2001
from neurodata.recording.validate import validate


@pytest.fixture
def raw(fake_raw, tmp_path):
    fake_raw("haxby_objects_2001").write_raw(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.mark.parametrize("variant", ["1slice", "25mm"])
def test_published_volumes_masks_blocks_and_motion(real_data, variant):
    folder = real_data("fmri/haxby2001-pymvpa")
    loader = HaxbyObjects2001(folder, variant=variant)
    for session in loader.sessions():
        run = session[-6:]
        recording = loader.load(session)
        validate(recording)
        bold = recording.signals_stored["bold"]
        place = folder / "sub001/BOLD" / f"task001_{run}"
        image = nibabel.load(place / f"bold_{variant}.nii.gz")
        expected = np.asarray(image.dataobj.get_unscaled())
        at = tuple(bold[axis].values for axis in "ijk")
        np.testing.assert_array_equal(bold.values, expected[at].T, strict=True)
        world = nibabel.affines.apply_affine(image.affine, np.stack(at, 1))
        np.testing.assert_allclose(np.stack([bold[axis].values for axis in "xyz"], 1), world)
        np.testing.assert_array_equal(recording.signals["motion"].values, np.loadtxt(place / "bold_moest.txt"))
        if variant == "25mm":
            for name in ("brain", "gray", "white", "vt", "hoc"):
                mask = np.asarray(nibabel.load(folder / f"sub001/masks/25mm/{name}.nii.gz").dataobj)
                np.testing.assert_array_equal(bold[name].values, mask[at])
        lines = (place / "bold_events.tsv").read_text().splitlines()[1:]
        stimulus = recording.intervals["stimulus"]
        assert stimulus["label"].values.tolist() == [line.split("\t")[2] for line in lines]
        assert stimulus["start"].values.tolist() == [float(line.split("\t")[0]) for line in lines]
        assert [CATEGORIES[code] for code in stimulus["code"].values] == stimulus["label"].values.tolist()


def test_made_up_runs(raw, fake_raw):
    made = fake_raw("haxby_objects_2001")
    for number, run in enumerate(("run001", "run002")):
        recording = HaxbyObjects2001(raw, variant="25mm").load(f"haxby_objects_2001/{run}")
        bold = recording.signals_stored["bold"]
        np.testing.assert_array_equal(
            bold.values, made.volumes(number, "25mm").reshape(-1, made.N_VOLUMES, order="F").T
        )
        assert recording.intervals["stimulus"]["code"].values.tolist() == list(made.ORDERS[number])
        assert bold["vt"].dtype == bool
        assert recording.signals["motion"]["units"].values.tolist() == ["rad"] * 3 + ["mm"] * 3


def test_lists_of_blocks_that_differ_are_refused(raw):
    path = raw / "sub001/model/model001/onsets/task001_run001/cond003.txt"
    path.write_text("1.0\t5.0\t1\n")
    with pytest.raises(RawFileError, match=r"block \('cat', 1\.0, 5\.0\) is in the FSL onset files only"):
        HaxbyObjects2001(raw).load("haxby_objects_2001/run001")


def test_other_categories_and_rates_are_refused(raw):
    (raw / "scan_key.txt").write_text("TE 30\n")
    with pytest.raises(RawFileError, match=r"expected a line such as 'TR 2\.5', got 'TE 30"):
        HaxbyObjects2001(raw).load("haxby_objects_2001/run001")
    key = raw / "models/model001/condition_key.txt"
    key.write_text(key.read_text().replace("cat", "dog"))
    with pytest.raises(RawFileError, match="expected the conditions house, scrambledpix, cat"):
        HaxbyObjects2001(raw).load("haxby_objects_2001/run001")
    assert HaxbyObjects2001.claim(raw) == []


def test_a_missing_file_is_named(raw):
    (raw / "sub001/BOLD/task001_run001/bold_moest.txt").unlink()
    with pytest.raises(RawFileError.__base__, match=r"bold_moest\.txt: a raw file is missing"):
        HaxbyObjects2001(raw).load("haxby_objects_2001/run001")
