"""Neural recordings of every modality in one schema and one chunked store, with models that learn from them.

Names are imported when they are first used, so that ``import neurodata`` is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurodata.batches.datamodule import RecordingDataModule as RecordingDataModule
    from neurodata.batches.loader import WindowLoader as WindowLoader
    from neurodata.batches.mixture import Mixture as Mixture
    from neurodata.exports.to_mne import to_mne as to_mne
    from neurodata.exports.to_nwb import to_nwb as to_nwb
    from neurodata.exports.to_pandas import to_pandas as to_pandas
    from neurodata.exports.to_pynapple import to_pynapple as to_pynapple
    from neurodata.loaders.connectomes import open_connectome as open_connectome
    from neurodata.loaders.convert import convert as convert
    from neurodata.models.adapt import adapt as adapt
    from neurodata.models.adapt import learning_curve as learning_curve
    from neurodata.models.checkpoints import from_pretrained as from_pretrained
    from neurodata.models.checkpoints import save_pretrained as save_pretrained
    from neurodata.models.embed import embed as embed
    from neurodata.models.hub import push_to_hub as push_to_hub
    from neurodata.models.run import leave_one_subject_out as leave_one_subject_out
    from neurodata.recording.connectome import Connectome as Connectome
    from neurodata.recording.graphs import make_graph as make_graph
    from neurodata.recording.recording import Recording as Recording
    from neurodata.recording.timed import make_events as make_events
    from neurodata.recording.timed import make_intervals as make_intervals
    from neurodata.recording.timed import make_signal as make_signal
    from neurodata.recording.timed import make_units as make_units
    from neurodata.recording.validate import validate as validate
    from neurodata.report.page import write_report as write_report
    from neurodata.simulate.calcium import simulate_worms as simulate_worms
    from neurodata.simulate.kato_layout import write_kato_layout as write_kato_layout
    from neurodata.store.read import open_recording as open_recording
    from neurodata.store.store import Store as Store
    from neurodata.store.store import open_store as open_store
    from neurodata.store.verify import verify_recording as verify_recording
    from neurodata.store.write import write_recording as write_recording
    from neurodata.windows.eeg_views import re_reference as re_reference
    from neurodata.windows.epochs import make_epochs as make_epochs
    from neurodata.windows.filters import band_pass as band_pass
    from neurodata.windows.filters import notch as notch
    from neurodata.windows.fmri_views import regress_confounds as regress_confounds
    from neurodata.windows.fmri_views import remove_drift as remove_drift
    from neurodata.windows.fmri_views import scrub as scrub
    from neurodata.windows.homogenise import homogenise as homogenise
    from neurodata.windows.locked import make_event_windows as make_event_windows
    from neurodata.windows.locked import make_trial_windows as make_trial_windows
    from neurodata.windows.select import make_windows as make_windows
    from neurodata.windows.splits import split_by as split_by

_HOMES = {
    "RecordingDataModule": "batches.datamodule",
    "WindowLoader": "batches.loader",
    "Mixture": "batches.mixture",
    "to_mne": "exports.to_mne",
    "to_nwb": "exports.to_nwb",
    "to_pandas": "exports.to_pandas",
    "to_pynapple": "exports.to_pynapple",
    "open_connectome": "loaders.connectomes",
    "convert": "loaders.convert",
    "adapt": "models.adapt",
    "learning_curve": "models.adapt",
    "embed": "models.embed",
    "from_pretrained": "models.checkpoints",
    "save_pretrained": "models.checkpoints",
    "push_to_hub": "models.hub",
    "leave_one_subject_out": "models.run",
    "Connectome": "recording.connectome",
    "make_graph": "recording.graphs",
    "Recording": "recording.recording",
    "make_events": "recording.timed",
    "make_intervals": "recording.timed",
    "make_signal": "recording.timed",
    "make_units": "recording.timed",
    "validate": "recording.validate",
    "write_report": "report.page",
    "simulate_worms": "simulate.calcium",
    "write_kato_layout": "simulate.kato_layout",
    "open_recording": "store.read",
    "Store": "store.store",
    "open_store": "store.store",
    "verify_recording": "store.verify",
    "write_recording": "store.write",
    "re_reference": "windows.eeg_views",
    "make_epochs": "windows.epochs",
    "band_pass": "windows.filters",
    "notch": "windows.filters",
    "regress_confounds": "windows.fmri_views",
    "remove_drift": "windows.fmri_views",
    "scrub": "windows.fmri_views",
    "homogenise": "windows.homogenise",
    "make_event_windows": "windows.locked",
    "make_trial_windows": "windows.locked",
    "make_windows": "windows.select",
    "split_by": "windows.splits",
}
"""Public name → the module it lives in."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neurodata' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    value = getattr(importlib.import_module(f"neurodata.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
