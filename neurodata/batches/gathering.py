"""Predictions of several processes brought together, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence

import torch.distributed

from neurodata.windows.stitch import Stitched, Stitcher


def gather_stitched(stitcher: Stitcher, found: Sequence[Stitched]) -> list[Stitched]:
    """Return all recordings that all processes have predicted, on every process, in the windows' order.

    Each process predicts its own share of the same windows (`neurodata.batches.sampling.CoveringWindows`); a recording
    that lies on a border comes out as if one process had predicted it, to the last bit.

    Parameters
    ----------
    stitcher
        What this process has stitched with; made of all windows.
    found
        Recordings that it has completed.

    Raises
    ------
    NeurodataError
        If a window was predicted twice, or not at all.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        shares: list[tuple[list[Stitched], Stitcher]] = [([], stitcher)] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(shares, (list(found), stitcher))
    else:
        shares = [(list(found), stitcher)]
    merged = Stitcher(stitcher.windows, stitcher.weight)
    everything: list[Stitched] = []
    for done, other in shares:
        everything += [*done, *merged.merge(other)]
    merged.finish()
    place = {recording_id: number for number, recording_id in enumerate(stitcher.windows.recording_ids)}
    return sorted(everything, key=lambda one: place[one.recording_id])
