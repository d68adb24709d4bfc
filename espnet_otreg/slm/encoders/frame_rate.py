"""The duration of an encoder's frame, measured by running it where it does not say so itself."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterator

import torch
from torch import nn

from espnet_otreg.errors import UserError

_SAMPLE_RATE = 16000


@contextlib.contextmanager
def _evaluating(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients; modes and random numbers are as before at the end."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    # ESPnet's stacks of layers draw which of them to skip in evaluation too.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for module in modules:
            module.eval()
        try:
            yield
        finally:
            for part, mode in modes:
                part.training = mode


def frame_seconds_of(encoder: nn.Module, frontend: nn.Module | None) -> float:
    """Duration of one encoder frame in seconds.

    Ours say it (``frame_seconds``). Of others it is the number of samples by which an utterance
    has to grow for one frame more, measured on zeros: the length of one utterance would not do,
    because what happens at its ends makes frames more or fewer. Neither random numbers nor the
    statistics of normalisation layers change.

    Args:
        encoder: an encoder of ESPnet's interface.
        frontend: what makes its features of samples, or None if it takes samples.

    Raises:
        UserError: if the number of frames does not grow with the utterance.
    """
    own = getattr(encoder, "frame_seconds", None)
    if own is not None:
        return float(own)

    def frames(samples: int) -> int:
        speech, lengths = torch.zeros(1, samples), torch.tensor([samples])
        if frontend is not None:
            speech, lengths = frontend(speech, lengths)
        return int(encoder(speech, lengths)[1])

    with _evaluating(*(module for module in (frontend, encoder) if module is not None)):
        one_second = frames(_SAMPLE_RATE)
        more = frames(2 * _SAMPLE_RATE) - one_second
        if more < 1:
            raise UserError(
                f"two seconds of speech have as many frames as one ({one_second})",
                f"encoder {type(encoder).__name__}",
                "take an encoder whose frames become more with time",
            )
        # These bounds of a frame's length save most of the runs.
        shortest = _SAMPLE_RATE // (more + 1)
        longest = -(-_SAMPLE_RATE // (more - 1)) if more > 1 else 2 * _SAMPLE_RATE

        def length_with(count: int, low: int, high: int) -> int:
            return bisect_left(range(high + 1), count, lo=low, key=frames)

        first = length_with(one_second + 1, _SAMPLE_RATE, _SAMPLE_RATE + longest)
        second = length_with(one_second + 2, first + shortest, first + longest)
    return (second - first) / _SAMPLE_RATE
