"""What an adapter of a frozen LLM has to be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn

from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.lora import LoRA


class Adapter(Protocol):
    """Trained parameters in a frozen LLM."""

    @property
    def mergeable(self) -> bool:
        """Whether :meth:`merge` can add them to the LLM's weights now. Those of an adapter that
        treats rows differently never can."""
        ...

    def attach(self, model: Any) -> None:
        """Put the parameters into a causal LLM of Transformers.

        Raises:
            UserError: if the LLM has no place for them.
        """
        ...

    def route(self, tasks: Sequence[str]) -> None:
        """Say what the rows of the passes that follow are about.

        It holds until the next call, so that activation checkpointing, which computes a pass
        again when its gradient is asked for, finds it.

        Args:
            tasks: a language or task for each row; none where nobody knows.
        """
        ...

    def merge(self) -> None:
        """Add the parameters to the weights, where nothing more can be learnt.

        Training mode and :meth:`espnet_otreg.slm.llm.LLM.merged` take them apart again.
        """
        ...

    def unmerge(self) -> None:
        """Put the weights back as they were."""
        ...

    def saved_names(self, model: nn.Module) -> set[str]:
        """Names of the LLM's parameters that checkpoints hold even where they are frozen."""
        ...


def build_adapter(config: LLMConfig) -> Adapter | None:
    """The adapter that a configuration names, to be attached.

    >>> build_adapter(LLMConfig("exp/llm")) is None
    True
    >>> build_adapter(LLMConfig("exp/llm", adapter="lora")).mergeable  # it is attached to nothing
    False
    """
    return LoRA(config) if config.adapter == "lora" else None
