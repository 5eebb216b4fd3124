"""Files that lie beside a BOLD file and belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ._fmri_lut import find_lut
from ._fmri_sidecar import companions, find_sidecars, parse_name

_IMAGES = (".nii.gz", ".nii")
_SPM = "wsrau"
"""What SPM puts before a name: warped, smoothed, resliced, slice-timed, unwarped. Motion is estimated before most."""


@dataclass(frozen=True)
class Companions:
    """What belongs to a BOLD file; empty or None where it is not there."""

    sidecars: tuple[Path, ...] = ()
    events: Path | None = None
    confounds: Path | None = None
    motion: Path | None = None
    mask: Path | None = None
    labels: Path | None = None
    lut: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        single = (self.events, self.confounds, self.motion, self.mask, self.labels, self.lut)
        return (*self.sidecars, *(path for path in single if path is not None))


def find_companions(path: Path) -> Companions:
    """Return what lies beside a BOLD file under its name: by BIDS, or with the file's own name before it."""
    labels = _image(path, ("dseg",), ("labels", "dseg", "atlas", "parcellation"))
    return Companions(
        sidecars=tuple(find_sidecars(path)),
        events=_table(path, ("events",), ("_events.tsv", ".events.tsv", "_events.csv")),
        confounds=_table(
            path,
            ("timeseries", "regressors", "confounds"),
            ("_confounds.tsv", "_desc-confounds_timeseries.tsv", "_confounds.csv"),
        ),
        motion=_motion(path),
        mask=_image(path, ("mask",), ("mask", "brain_mask", "brainmask")),
        labels=labels,
        lut=find_lut(labels) if labels else None,
    )


def stem_of(path: Path) -> str:
    """Return a file's name without ``.nii``, ``.nii.gz``, ``.hdr`` …"""
    return path.name.removesuffix(".gz").rpartition(".")[0]


def _table(path: Path, suffixes: tuple[str, ...], endings: tuple[str, ...]) -> Path | None:
    """A table of the same run: by BIDS entities, or named as the file is (with and without its last part)."""
    found = [
        other
        for other in companions(path, suffixes, ".tsv")
        if parse_name(other).suffix != "timeseries" or parse_name(other).entities.get("desc") == "confounds"
    ]
    if found:
        return found[-1]
    stem = stem_of(path)
    stems = dict.fromkeys((stem, stem.removesuffix("_bold")))
    return _first(path, [f"{name}{ending}" for name in stems for ending in endings])


def _image(path: Path, suffixes: tuple[str, ...], words: tuple[str, ...]) -> Path | None:
    """A mask or label image in the space of the file."""
    ours = parse_name(path).entities
    fitting = [
        other
        for ending in _IMAGES
        for other in companions(path, suffixes, ending)
        if all(ours.get(key) == parse_name(other).entities.get(key) for key in ("space", "res"))
    ]
    if fitting:
        # fMRIPrep writes aseg and aparcaseg: the finer one comes last by name or is the only one.
        return max(fitting, key=lambda other: "aparc" in other.name)
    return _first(path, [f"{stem_of(path)}_{word}{ending}" for word in words for ending in _IMAGES])


def _motion(path: Path) -> Path | None:
    stem = stem_of(path)
    bare = [stem[start:] for start in range(min(5, len(stem))) if all(letter in _SPM for letter in stem[:start])]
    names = [f"{stem}_mcf.par", f"{stem}.par", f"{stem}.nii.gz.par", f"{stem}_motion.1D", f"{stem}_dfile.1D"]
    return _first(path, names + [f"rp_{name}.txt" for name in bare])


def _first(path: Path, names: list[str]) -> Path | None:
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
