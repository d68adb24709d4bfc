"""Can the model learn ten utterances by heart? If not, a long training is wasted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from espnet_otreg.errors import UserError
from espnet_otreg.objectives.reference import copy_sharing_frozen
from espnet_otreg.progress import Progress
from espnet_otreg.tasks.interruption import random_state_kept, reading

_UTTERANCES = 10
_STEPS = 60
_REQUIRED_RATIO = 0.5


def _first_batch(iterator: Iterator[Any], device: str) -> dict[str, Any]:
    utterances, batch = next(iterator)
    first = {
        key: value[:_UTTERANCES].to(device) if torch.is_tensor(value) else value
        for key, value in batch.items()
    }
    return {**first, "utt_id": utterances[:_UTTERANCES]}


def overfit_ten(model: Any, batches: Callable[[], Iterable[Any]], ngpu: int) -> tuple[float, float]:
    """Train a copy of the model on up to ten utterances of the first batch.

    The model stays as it is, and so do all random number generators.

    Args:
        model: the model about to be trained.
        batches: makes an iterable of (utterance ids, batch), as ESPnet has it.
        ngpu: 0 on a CPU.

    Returns:
        The loss before and after.

    Raises:
        UserError: if the loss does not fall to half.
    """
    with random_state_kept():
        with reading(batches()) as iterator:
            batch = _first_batch(iterator, "cuda" if ngpu else "cpu")
        losses = _train_copy(model, batch)
    print(f"sanity: loss on ten utterances {losses[0]:.3f} -> {losses[-1]:.3f} in {_STEPS} steps")
    if not losses[-1] < _REQUIRED_RATIO * losses[0]:
        raise UserError(
            f"ten utterances could not be learnt by heart ({losses[0]:.3f} -> {losses[-1]:.3f})",
            "--sanity",
            "check transcripts against audio, the trainable parameters and the prompt",
        )
    return losses[0], losses[-1]


def _train_copy(model: Any, batch: dict[str, Any]) -> list[float]:
    """The loss of every step."""
    trial = copy_sharing_frozen(model).train()
    parameters = [parameter for parameter in trial.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    losses: list[float] = []
    progress = Progress("sanity check, ten utterances by heart", _STEPS, "steps")
    for _ in range(_STEPS):
        loss, _, _ = trial(**batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        progress.advance(1)
    progress.close()
    return losses
