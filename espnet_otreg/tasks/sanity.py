"""Can the model learn ten utterances by heart? If not, a long training is wasted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from espnet_otreg.errors import UserError
from espnet_otreg.progress import Progress

_UTTERANCES = 10
_STEPS = 60
_REQUIRED_RATIO = 0.5


def _first_batch(iterator: Iterable[Any], device: str) -> dict[str, Any]:
    utterances, batch = next(iter(iterator))
    first = {
        key: value[:_UTTERANCES].to(device) if torch.is_tensor(value) else value
        for key, value in batch.items()
    }
    return {**first, "utt_id": utterances[:_UTTERANCES]}


def overfit_ten(model: Any, iterator: Iterable[Any], ngpu: int) -> tuple[float, float]:
    """Train on up to ten utterances of the first batch and put every parameter back.

    Args:
        model: the model about to be trained.
        iterator: of (utterance ids, batch), as ESPnet makes it.
        ngpu: 0 on a CPU.

    Returns:
        The loss before and after.

    Raises:
        UserError: if the loss does not fall to half.
    """
    batch = _first_batch(iterator, "cuda" if ngpu else "cpu")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    saved = [parameter.detach().clone() for parameter in parameters]
    random_state = torch.random.get_rng_state()
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    model.train()
    losses: list[float] = []
    progress = Progress("sanity check, ten utterances by heart", _STEPS, "steps")
    for _ in range(_STEPS):
        loss, _, _ = model(**batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        progress.advance(1)
    progress.close()
    with torch.no_grad():
        for parameter, value in zip(parameters, saved, strict=True):
            parameter.copy_(value)
            parameter.grad = None
    torch.random.set_rng_state(random_state)
    print(f"sanity: loss on ten utterances {losses[0]:.3f} -> {losses[-1]:.3f} in {_STEPS} steps")
    if not losses[-1] < _REQUIRED_RATIO * losses[0]:
        raise UserError(
            f"ten utterances could not be learnt by heart ({losses[0]:.3f} -> {losses[-1]:.3f})",
            "--sanity",
            "check transcripts against audio, the trainable parameters and the prompt",
        )
    return losses[0], losses[-1]
