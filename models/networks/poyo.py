"""Events as tokens (a unit and a time), read by latents on a clock, asked at any time and for any unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurodata.checks import check_positive
from neurodata.errors import NeurodataError
from neurodata.windows.spec import DataSpec

from ..layers.events import gather_events
from ..layers.timed_attention import TimedBlock, make_periods
from ..network import Inputs, Network

START = 0.1
"""Spread, before training, of latents, questions and the weights of how much: small beside who a token is of. With a spread
of 1 some runs decoded one of two directions from tuned neurons after 160 steps; with 0.1 all decoded both."""


class Poyo(Network):
    """Perceiver over events, after POYO: it costs what happens, not how many units there are nor how fine the bins.

    Every visible value that is not zero is a token: who (a vector per channel id) and how much (the value and the
    logarithm of its size, by weights of all channels and of its own); when enters as rotary time in seconds. Learned
    latents, the same at every tick of a clock, read the tokens and speak with each other; a question at a time, and for
    a unit, reads the latents. Counts should come unscaled (``scaling="none"``), so that an empty bin is 0 and no token; scaled values
    are tokens wherever they are seen.

    ``features``: one question at every sample, ``(batch, time, width)``. ``reconstruct``: one question per sample and
    channel, ``(batch, time, channel)``, which takes memory for ``time * channel`` vectors a window.

    What surprises: a hidden bin looks like one in which nothing happened. What differs from the paper: bins stand for
    spike times, several spikes in a bin are one token that says how many, no tokens mark a unit's start and end
    (attention may rest instead, see `TimedAttention`), sessions have no vector of their own, and sizes are small.

    Parameters
    ----------
    spec
        Shape and meaning of the data.
    width, n_layers, n_heads
        Size of tokens, of latents and of features; layers of latents among each other; heads.
    n_latents
        Latents per tick; the paper's smallest network has 16.
    latent_seconds
        Between ticks (0.125 in the paper, 2.1); a sample where that is longer.
    most_ticks
        In a window; a long one has its ticks further apart.
    dropout
        In every layer.

    Raises
    ------
    NeurodataError
        If a size is not positive, or heads do not divide the width into even parts.

    References
    ----------
    Azabou et al. 2023, A unified, scalable framework for neural population decoding, NeurIPS, section 2.
    """

    periods: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: int = 64,
        n_layers: int = 2,
        n_heads: int = 2,
        n_latents: int = 8,
        latent_seconds: float = 0.125,
        most_ticks: int = 32,
        dropout: float = 0.1,
    ) -> None:
        sizes = {"width": width, "n_layers": n_layers, "n_heads": n_heads, "n_latents": n_latents, "latent_seconds": latent_seconds, "most_ticks": most_ticks}  # fmt: skip
        for name, size in sizes.items():
            check_positive(name, size)
        if width % (2 * n_heads):
            raise NeurodataError(f"2 * n_heads={2 * n_heads} must divide width={width}")
        super().__init__(spec, width, sizes | {"dropout": dropout})
        self.n_ticks = max(1, min(round(spec.window_seconds / latent_seconds), spec.window_samples, most_ticks))
        # From two samples, the fastest that bins can tell, to twice the window (the paper: 1 s windows, up to 2.06 s).
        periods = make_periods(width // n_heads, 2 / spec.rate_hz, 2 * spec.window_seconds)
        self.register_buffer("periods", periods, persistent=False)
        self.identity = nn.Embedding(spec.n_channel_ids, width)
        self.own_content = nn.Embedding(spec.n_channel_ids, width)
        self.content = nn.Linear(2, width)
        nn.init.normal_(self.content.weight, std=START)
        nn.init.zeros_(self.content.bias)
        self.token_norm = nn.LayerNorm(width)
        self.latents = nn.Parameter(START * torch.randn(n_latents, width))
        self.read = TimedBlock(width, n_heads, dropout)
        self.blocks = nn.ModuleList([TimedBlock(width, n_heads, dropout) for _ in range(n_layers)])
        self.latent_norm = nn.LayerNorm(width)
        self.question = nn.Parameter(START * torch.randn(width))
        self.answer = TimedBlock(width, n_heads, dropout)
        self.answer_norm = nn.LayerNorm(width)
        self.back = nn.ModuleDict({"question": nn.Embedding(spec.n_channel_ids, width), "value": nn.Linear(width, 1)})
        for parameter in self.back["value"].parameters():  # untrained, it expects the mean; a forecast copies the last
            nn.init.zeros_(parameter)

    def _encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Latents after all layers, ``(batch, latent, width)``, and their times, ``(latent,)``."""
        events = gather_events(inputs)
        compressed = events.values.sign() * events.values.abs().log1p()
        content = self.content(torch.stack([events.values, compressed], -1))
        content = content + self.own_content(events.channel_ids) * compressed[..., None]
        tokens = self.token_norm(self.identity(events.channel_ids) + content)
        ticks = torch.arange(self.n_ticks, device=tokens.device) + 0.5
        seconds = inputs.seconds[0] + ticks * (self.spec.window_seconds / self.n_ticks)
        seconds = seconds.repeat_interleave(len(self.latents))
        latents = self.latents.repeat(self.n_ticks, 1).expand(len(tokens), -1, -1)
        latents = self.read(latents, seconds, self.periods, tokens, events.seconds, events.real)
        for block in self.blocks:
            latents = block(latents, seconds, self.periods)
        return self.latent_norm(latents), seconds

    def _ask(self, questions: Tensor, seconds: Tensor, inputs: Inputs) -> Tensor:
        """Answers to ``(batch, question, width)`` at the questions' times, ``(question,)``."""
        answers: Tensor = self.answer_norm(self.answer(questions, seconds, self.periods, *self._encode(inputs)))
        return answers

    def features(self, inputs: Inputs) -> Tensor:
        """Return the answers at every sample, ``(batch, time, width)``."""
        n_windows, n_samples, _ = inputs.values.shape
        return self._ask(self.question.expand(n_windows, n_samples, -1), inputs.seconds, inputs)

    def reconstruct(self, inputs: Inputs) -> Tensor:
        """Return ``(batch, time, channel)``."""
        n_samples, n_channels = inputs.values.shape[1:]
        questions = (self.question + self.back["question"](inputs.channel_ids)).repeat(1, n_samples, 1)
        answers = self._ask(questions, inputs.seconds.repeat_interleave(n_channels), inputs)
        rebuilt: Tensor = self.back["value"](answers).view(inputs.values.shape)
        return rebuilt
