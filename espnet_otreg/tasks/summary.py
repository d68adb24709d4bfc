"""What is about to be trained, in a few lines before the first step."""

from __future__ import annotations

from torch import nn


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.0f} MB"


def training_bytes(model: nn.Module) -> int:
    """Bytes of weights, gradients and the two moments of an Adam-like optimiser.

    Args:
        model: the model, with ``requires_grad`` already set; it may be on the device ``meta``.

    >>> layer = nn.Linear(2, 3)
    >>> training_bytes(layer), training_bytes(layer.requires_grad_(False))
    (144, 36)
    """
    return sum(
        parameter.numel() * parameter.element_size() * (4 if parameter.requires_grad else 1)
        for parameter in model.parameters()
    )


def describe(model: nn.Module) -> str:
    """Trainable and all parameters by module, and the memory that they need.

    The estimate counts weights, gradients and the two moments of an Adam-like optimiser; what
    activations add depends on the batch.

    Args:
        model: the model, with ``requires_grad`` already set.

    Returns:
        Several lines.

    >>> print(describe(nn.Sequential(nn.Linear(2, 3))).splitlines()[2])
      all                    9 of           9  (100.00 %)
    """
    rows: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        count = parameter.numel()
        row = rows.setdefault(name.split(".")[0], [0, 0])
        row[1] += count
        if parameter.requires_grad:
            row[0] += count
    trained, total = (sum(row[i] for row in rows.values()) for i in (0, 1))
    lines = ["trainable parameters by module:"]
    lines += [f"  {name:<12}{t:>12,} of {n:>11,}" for name, (t, n) in rows.items()]
    share = 100 * trained / max(total, 1)
    lines.append(f"  {'all':<12}{trained:>12,} of {total:>11,}  ({share:.2f} %)")
    lines.append(
        "memory for weights, gradients and optimiser state: "
        f"{_megabytes(training_bytes(model))}, and activations"
    )
    return "\n".join(lines)
