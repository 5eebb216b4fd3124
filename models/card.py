"""The card of a checkpoint: a page of Markdown made from its configuration, with the header that the hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from neurodata.errors import CheckpointError

HUB_LICENCES = {
    "apache-2.0", "mit", "isc", "zlib", "unlicense", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "mpl-2.0",
    "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "odbl", "odc-by", "pddl",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "unknown", "other",
}  # fmt: skip
"""Licences the hub knows by name, of those that recordings and weights come under; it refuses a card with another word.

https://huggingface.co/docs/hub/repositories-licenses
"""


def make_card(config: Mapping[str, Any], n_parameters: int) -> str:
    """Return a model card in Markdown, made from a checkpoint's configuration.

    Its heading is the manifest's ``title``, or network and task where it has none.

    Raises
    ------
    CheckpointError
        If ``trained_on`` does not give a digest for each recording.
    """
    manifest = dict(config["manifest"])
    trained = manifest.pop("trained_on", {})
    if not isinstance(trained, Mapping):
        raise CheckpointError(f"trained_on: expected recording ids with their content digests, got {str(trained)[:80]}")
    title = manifest.pop("title", f"{config['network']['name']}, task {config['task']['name']}")
    names = ", ".join(sorted(trained)) or "nothing"
    lines = [
        "---",
        f"license: {_hub_licence(manifest.get('licence', 'unknown'))}",
        "library_name: neurodata",
        "---",
        f"# {' '.join(str(title).split())}",
        "",
        f"{n_parameters:,} parameters, stored as {config['dtype']}. {_input_text(config)}",
        "",
        f"Trained on: {names}. A score on any of these recordings, or on another recording of the same animals, says "
        "nothing about new animals.",
        "",
        "| fact | value |",
        "|---|---|",
    ]
    lines += [f"| {key} | `{json.dumps(value, ensure_ascii=False)}` |" for key, value in manifest.items()]
    lines += ["", "Content digests of the recordings:", ""]
    lines += [f"- `{recording}`: `{digest}`" for recording, digest in sorted(trained.items())]
    return "\n".join(lines) + "\n"


def _hub_licence(licence: Any) -> str:
    """The hub's word for a licence; ``other`` where it has none (the card's table says which)."""
    word = "-".join(str(licence).lower().split())
    return word if word in HUB_LICENCES else "other"


def _input_text(config: Mapping[str, Any]) -> str:
    spec = config["spec"]
    if spec is None:
        sizes = ", ".join(f"{key} = {value}" for key, value in config["network"]["hyperparameters"].items())
        return f"Input: arrays. Built with {sizes}."
    return (
        f"Input: signal `{spec['signal']}` at {spec['rate_hz']:g} Hz, windows of "
        f"{spec['window_samples'] / spec['rate_hz']:g} s. Target: `{spec['target'] or 'none'}`."
    )
