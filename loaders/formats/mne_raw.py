"""EEG and MEG in the formats of amplifiers and analysis programs, read through MNE-Python."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurodata.recording.recording import Recording

from ..base import Claim
from ..format_loader import FormatLoader
from ._mne_open import open_source, reading
from ._mne_recording import make_parts
from ._mne_signatures import recognise


class MneRaw(FormatLoader):
    """EEG, MEG and intracranial recordings in the formats that MNE-Python reads.

    Read are BrainVision (``.vhdr`` with ``.eeg`` and ``.vmrk``), EEGLAB (``.set`` with or without ``.fdt``, MATLAB v5
    or v7.3, continuous or epochs), FIF (raw, split over several files, or epochs), GDF, Neuroscan CNT, KIT/Ricoh
    (``.con``, ``.sqd``), CTF (``.ds``), Persyst (``.lay`` with ``.dat``), Nihon Kohden (``.EEG``) and EGI (``.raw``,
    ``.mff``); what is in a file decides. EDF and BDF belong to ``edf``, which keeps their gaps and mixed rates.

    One signal per type of channel: ``eeg``, ``eog``, ``ecg``, ``emg``, ``meg_mag`` (T), ``meg_grad`` (T/m),
    ``ref_meg``, ``seeg``, ``ecog``, ``dbs``, ``misc``, ``trigger`` … An ``EOG1`` that a file calls EEG is ``eog``. Values
    are MNE's (V, T, T/m) as float32, trigger channels float64; BrainVision, FIF, CTF and CNT files of integers stay
    integers with a scale. Projectors and compensation are not applied; ``extra`` lists them. Samples that MNE fills
    with zeros because none were recorded (``BAD_ACQ_SKIP``) are NaN.

    Scalp electrodes are called by their 10-05 names (``Fc5.`` → ``FC5``, ``T3`` → ``T7``); contacts and derivations
    keep theirs. Positions (m) are the file's; for type ``eeg``, where the file has none at all, those of the
    ``standard_1005`` template (column ``position_source``). Other columns: ``type``, ``bad``. Filters and line
    frequency are attributes.

    Time 0 is the first sample. Annotations are ``events/annotations`` (moments, and marks of one sample) and
    ``intervals/annotations`` (stretches, bad ones too); EEGLAB events keep all their columns. Steps up on trigger
    channels are ``events/triggers``. Epochs become ``intervals/trials`` and lie at the times they were cut from, or one
    after the other where they overlap (EEGLAB: always).

    A ``.set`` with its samples inside and its unpacked size above 512 MiB is refused, for it can only be read whole.
    Not read: ICA decompositions, head shapes, averaged responses.

    Parameters
    ----------
    raw
        A file (of BrainVision the header), a CTF or MFF folder, or a folder that is searched for them.
    eeg_is
        What the channels are that a file calls EEG, for many formats know no other word. With ``auto`` contacts that are
        numbered like those of several depth electrodes are ``seeg``, all others ``eeg``.
    cnt_format
        How a Neuroscan CNT file stores its samples, where its header does not tell (``auto``).
    common
        ``dataset``, ``name``, ``subject``, ``species`` of every format loader.
    """

    version = 1
    specificity = 3

    def __init__(
        self,
        raw: str | Path,
        *,
        eeg_is: Literal["auto", "eeg", "seeg", "ecog", "dbs"] = "auto",
        cnt_format: Literal["auto", "int16", "int32"] = "auto",
        **common: str | None,
    ) -> None:
        super().__init__(raw, eeg_is=eeg_is, cnt_format=cnt_format, **common)
        self.eeg_is, self.cnt_format = eeg_is, cnt_format

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the recording that a file or folder is, none where it is of another format."""
        known = recognise(path)
        return [Claim(path, known.files)] if known else []

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one recording.

        Raises
        ------
        RawFileError
            If it cannot be read; says why.
        """
        known = recognise(claim.path)
        assert known is not None, f"{claim.path} was recognised when it was found"
        source, notes = open_source(known.kind, claim.path, self.cnt_format)
        with reading(claim.path, []):
            parts = make_parts(source, claim.path.name, notes, self.eeg_is)
        metadata = self.describe(session, **parts.metadata)
        return Recording(metadata, parts.signals, parts.events, parts.intervals)
