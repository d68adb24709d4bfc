"""Random transport problems for the tests of the engine."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture
def random_cost() -> Callable[..., Tensor]:
    """Costs as speech gives them: 1 - cos, mostly between 0.3 and 1.3."""

    def make(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return 0.3 + torch.rand(*shape, generator=generator, dtype=dtype)

    return make
