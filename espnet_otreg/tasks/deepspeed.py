"""Training with ESPnet's own DeepSpeed trainer, which stands in for ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.regularizers import NamedRegularizer


def check_deepspeed(regularizers: Sequence[NamedRegularizer]) -> None:
    """Whether a training with DeepSpeed can start and would be what its configuration says.

    ESPnet's DeepSpeed trainer takes the place of ours, which counts the steps that regularizers
    with a first step or a warm-up go by.

    Args:
        regularizers: those of the training.

    Raises:
        UserError: if DeepSpeed is not installed.
        ConfigErrors: if a regularizer goes by the number of steps.

    >>> from espnet_otreg.regularizers import parse_regularizers
    >>> late = parse_regularizers([{"ctc": {"start_step": 100}}])
    >>> try:
    ...     check_deepspeed(late)
    ... except ConfigErrors as error:
    ...     print(error.errors[0])
    regularizers.ctc: with DeepSpeed no step is counted; remove start_step and warmup_steps
    """
    errors = [
        f"regularizers.{regularizer.name}: with DeepSpeed no step is counted; "
        "remove start_step and warmup_steps"
        for regularizer in regularizers
        if regularizer.config.start_step or regularizer.config.warmup_steps
    ]
    if errors:
        raise ConfigErrors(errors, "--use_deepspeed true")
    if importlib.util.find_spec("deepspeed") is None:
        raise UserError(
            "DeepSpeed is not installed", "--use_deepspeed true", "pip install deepspeed"
        )
