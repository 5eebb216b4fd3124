"""One colour per state and per model, the same in every figure, told apart by colour-blind readers too."""

from __future__ import annotations

from collections.abc import Sequence

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
"""Okabe & Ito 2008, Color Universal Design."""

GREY, INK = "#BDBDBD", "#222222"
_WITHOUT_STATE = ("nostate", "none", "unknown", "unlabelled")
_MOTOR_STATES = {
    "fwd": "#0072B2", "slow": "#56B4E9", "rev1": "#F0E442", "rev2": "#E69F00", "revsus": "#D55E00",
    "dt": "#009E73", "vt": "#CC79A7",
}  # fmt: skip
"""Kato et al. 2015's states: forward in blues, reversals from yellow to red, turns in green and purple."""


def make_state_colours(classes: Sequence[str]) -> list[str]:
    """Return a colour for each class, in order; grey for the absence of a state, repeating beyond nine classes."""
    wished = [GREY if name in _WITHOUT_STATE else _MOTOR_STATES.get(name) for name in classes]
    free = [colour for colour in OKABE_ITO if colour not in wished] or list(OKABE_ITO)
    colours = []
    n_taken = 0
    for colour in wished:
        if colour is None:
            colour = free[n_taken % len(free)]
            n_taken += 1
        colours.append(colour)
    return colours


def make_model_colours(models: Sequence[str], roles: Sequence[str]) -> dict[str, str]:
    """Return a colour for each model: strong ones for the models under test, greys for what they are held against."""
    strong = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    greys = ("#4D4D4D", "#808080", "#A6A6A6", "#666666", "#999999", "#BFBFBF")
    colours: dict[str, str] = {}
    for model, role in zip(models, roles):
        among = strong if role == "model" else greys
        n_before = sum(colour in among for colour in colours.values())
        colours.setdefault(model, among[n_before % len(among)])
    return colours
