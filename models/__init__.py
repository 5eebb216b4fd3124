"""Models: networks, what they learn, and estimators with a scikit-learn face, such as ``SwitchingGLM``."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from neurodata.catalogue import list_entries, read_entry

    entries = {entry.replace("_", ""): entry for entry in list_entries("estimators")}
    if name.startswith("_") or name.lower() not in entries or "_" in name:
        raise AttributeError(
            f"module 'neurodata.models' has no attribute {name!r}; its estimators: {', '.join(sorted(entries.values()))}"
        )
    found = read_entry("estimators", entries[name.lower()])
    if found.__name__ != name:
        raise AttributeError(f"module 'neurodata.models' has no attribute {name!r}; did you mean {found.__name__!r}?")
    globals()[name] = found
    return found
