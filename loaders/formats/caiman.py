"""Results of CaImAn (CNMF, CNMF-E, OnACID) in HDF5."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError
from neurodata.recording.lazy import lazy_rows
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_signal

from ..base import Claim
from ..format_loader import FormatLoader
from ..hdf5 import is_hdf5, open_hdf5, read_part
from ._calcium_footprints import centroids
from ._calcium_rate import check_rate_option, choose_rate

TRACES = {"C": ("calcium", "a.u."), "F_dff": ("dff", "dF/F"), "S": ("deconvolved", "a.u."), "YrA": ("residual", "a.u.")}
"""Array → signal and its units."""
_QUALITY = {"SNR_comp": "snr", "r_values": "r_value", "cnn_preds": "cnn_prediction"}
_DEFAULT_FR = 30.0
"""CaImAn's own default of ``fr`` (caiman.source_extraction.cnmf.params)."""
_KEPT = ("fr", "decay_time", "dxy")


class Caiman(FormatLoader):
    """CaImAn's results (``.hdf5``, as ``CNMF.save`` writes them; also Mesmerize's), one recording each.

    - ``signals/calcium``: the denoised traces ``C``; ``signals/dff``: ``F_dff``; ``signals/deconvolved``: ``S``;
      ``signals/residual``: ``YrA`` (add it to ``calcium`` for the raw traces). Whichever are there, as they are, of the
      same components (same ``channel_id``). The file is (component, frame) and is read transposed, block by block.
    - Channel columns: ``accepted`` (``idx_components``, where components were evaluated), ``snr``, ``r_value`` and
      ``cnn_prediction``, and the footprint's centre of mass ``x``, ``y`` (and ``z``) in pixels, from ``A`` and
      ``dims``. All components are kept, accepted or not.
    - The frame rate is ``params/data/fr``, which is CaImAn's default of 30 Hz where nobody set it; ``rate_hz`` states
      it and overrules the file. Where there is none the rate is unknown and time counts frames.

    The arrays may lie in ``estimates`` or at the top level (older versions and other programs that save a dictionary of
    CNMF results). Not read: the footprints themselves, background components (``b``, ``f``), images, discarded
    components. A trace of another shape than ``C`` is left out with a warning.

    Parameters
    ----------
    raw
        A file, or a folder that is searched for them.
    rate_hz
        Frames per second.
    common
        As every format: ``dataset``, ``name``, ``subject``, ``species``.

    References
    ----------
    Giovannucci A et al. 2019, eLife 8:e38173, doi:10.7554/eLife.38173; caiman.utils.utils.save_dict_to_hdf5.
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 3

    def __init__(self, raw: str | Path, *, rate_hz: float | None = None, **common: str | None) -> None:
        super().__init__(raw, rate_hz=rate_hz, **common)
        check_rate_option(rate_hz)
        self.rate_hz = rate_hz

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the results that a file holds: traces ``C`` and, of the same components, footprints ``A``.

        Raises
        ------
        RawFileError
            If it is a damaged HDF5 file.
        """
        if not is_hdf5(path):
            return []
        try:
            with open_hdf5(path) as file:
                return [Claim(path, (path,))] if _find(file) is not None else []
        except RawFileError:
            raise
        except Exception as error:  # a damaged file makes the library raise nearly anything
            raise RawFileError(f"{path}: the HDF5 file is damaged ({error}); fetch it again") from error

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one file.

        Raises
        ------
        RawFileError
            If the file is damaged or lists components that are not there.
        """
        path = claim.path
        try:
            with open_hdf5(path) as file:
                return self._read(session, path, file)
        except RawFileError:
            raise
        except Exception as error:  # as above
            raise RawFileError(
                f"{path}: expected CaImAn's results, they are damaged ({error}); fetch it again"
            ) from error

    def _read(self, session: str, path: Path, file: h5py.File) -> Recording:
        estimates = _find(file)
        if estimates is None:
            raise RawFileError(f"{path}: expected traces C and footprints A; did the file change?")
        shape = estimates["C"].shape
        found = _number(file, "params/data/fr", "params/fr", "fr", "estimates/fr")
        rate_hz, said = choose_rate(self.rate_hz, found, "fr in params", path=path, default=_DEFAULT_FR)
        columns = _columns(path, file, estimates, shape[0])
        space: dict[str, Any] = {"space": "pixels"} if "x" in columns else {}
        left_out = {}
        signals = {}
        for key, (name, units) in TRACES.items():
            traces = _array(estimates, key)
            if traces is None:
                continue
            if traces.shape != shape or traces.dtype.kind not in "fiu":
                left_out[key] = f"{traces.dtype} of shape {traces.shape}, C has {shape}"
                warnings.warn(f"{path}: {key} is {left_out[key]}; it is left out", stacklevel=3)
                continue
            signals[name] = make_signal(
                _lazy(path, traces),
                channel_id=[f"cell{number:04d}" for number in range(shape[0])],
                units=units,
                rate_hz=rate_hz,
                columns=columns,
                sampling_rate_source=said,
                **space,
            )
        extra: dict[str, Any] = {"left_out": left_out} if left_out else {}
        kept = {key: value for key in _KEPT if (value := _setting(file, f"params/data/{key}")) is not None}
        extra |= {"caiman": kept} if kept else {}
        return Recording(self.describe(session, modality="calcium", extra=extra or None), signals)


def _find(file: h5py.File) -> h5py.Group | None:
    """The group with traces and footprints."""
    for group in (file.get("estimates"), file):
        if not isinstance(group, h5py.Group):
            continue
        traces, footprints = group.get("C"), group.get("A")
        if not isinstance(traces, h5py.Dataset) or traces.ndim != 2 or traces.dtype.kind not in "fiu":
            continue
        if "MATLAB_class" in traces.attrs or 0 in traces.shape:
            continue
        if isinstance(footprints, h5py.Group) and {"data", "indices", "indptr", "shape"} <= set(footprints):
            shape = np.ravel(footprints["shape"][()])
            if len(shape) == 2 and int(shape[1]) == traces.shape[0]:
                return group
        elif isinstance(footprints, h5py.Dataset) and footprints.ndim == 2 and footprints.shape[1] == traces.shape[0]:
            return group
    return None


def _array(group: h5py.Group, key: str) -> h5py.Dataset | None:
    """An array that is there: CaImAn writes the text ``NoneType`` where it has none."""
    found = group.get(key)
    return found if isinstance(found, h5py.Dataset) and found.ndim > 0 and found.dtype.kind in "biuf" else None


def _lazy(path: Path, traces: h5py.Dataset) -> Any:
    name, dtype = traces.name, traces.dtype
    kept = np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")

    def read(first: int, after: int) -> NDArray[Any]:
        try:
            with open_hdf5(path) as file:
                return np.ascontiguousarray(read_part(file[name], slice(None), slice(first, after)).T)
        except RawFileError:
            raise
        except Exception as error:  # as above
            raise RawFileError(f"{path}: {name} cannot be read ({error}); fetch the file again") from error

    return lazy_rows((traces.shape[1], traces.shape[0]), kept, read)


def _number(file: h5py.File, *places: str) -> Any:
    for place in places:
        found = file.get(place)
        if isinstance(found, h5py.Dataset) and found.size == 1 and found.dtype.kind in "iuf":
            return float(np.ravel(found[()])[0])
    return None


def _setting(file: h5py.File, place: str) -> Any:
    found = file.get(place)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iuf" or not 0 < found.size <= 4:
        return None
    values = np.ravel(found[()])
    if not np.isfinite(values).all():
        return None
    return values[0].item() if found.size == 1 else values.tolist()


def _columns(path: Path, file: h5py.File, estimates: h5py.Group, n_cells: int) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    accepted = _array(estimates, "idx_components")
    if accepted is not None and accepted.ndim == 1 and accepted.dtype.kind in "iuf":
        chosen = np.asarray(accepted[()], np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < n_cells:
            raise RawFileError(f"{path}: idx_components lists component {chosen.max()}, there are {n_cells}")
        columns["accepted"] = np.isin(np.arange(n_cells), chosen)
    for key, name in _QUALITY.items():
        values = _array(estimates, key)
        if values is not None and values.shape in ((n_cells,), (n_cells, 1)) and values.dtype.kind == "f":
            columns[name] = np.ravel(values[()]).astype(np.float64)
    dims = next((dims for group in (estimates, file) if (dims := _dims(group)) is not None), None)
    if dims is not None:
        columns |= centroids(path, estimates["A"], dims, n_cells) or {}
    return columns


def _dims(group: h5py.Group) -> tuple[int, ...] | None:
    for place in ("dims", "params/data/dims"):
        found = group.get(place)
        if isinstance(found, h5py.Dataset) and found.dtype.kind in "iuf" and found.shape in ((2,), (3,)):
            dims = tuple(int(size) for size in found[()])
            return dims if all(0 < size < 1 << 20 for size in dims) else None
    return None
