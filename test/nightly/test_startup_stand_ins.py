"""What the stand-ins of a quick start stand for is read when it is used, and works."""

from __future__ import annotations

import subprocess
import sys

STAND_INS = """
import sys
from espnet_otreg.inference.startup import POSTPONED, _StandIn, without_compiler
import torch
with without_compiler():
    assert not torch.distributed.is_available()
    import torch._dynamo
    from torch.nn.attention.flex_attention import BlockMask
    assert isinstance(sys.modules["torch._dynamo"], _StandIn)
    assert torch.compiler.disable(len) is len
    assert not isinstance(1, BlockMask)
    annotation = torch.Tensor | BlockMask | None
    from torch.fx.experimental.symbolic_shapes import expect_true, sym_eq
    assert expect_true(True) is True and sym_eq((2, 3), (2, 3)) and not sym_eq((2,), (3,))
    assert isinstance(sys.modules["sympy"], _StandIn)
    import torch._dynamo.config  # another module of a stand-in: all are read now
    assert torch._dynamo.config.__spec__.name == "torch._dynamo.config"
    assert not any(isinstance(sys.modules.get(name), _StandIn) for name in POSTPONED)
    import sympy
    assert sympy.gcd(12, 18) == 6
assert torch.distributed.is_available()
double = torch.compile(lambda x: 2 * x, backend="eager")
assert double(torch.ones(1)).item() == 2  # the compiler works
mask = BlockMask.from_kv_blocks(torch.ones(1, 1, 1, dtype=torch.int32),
                                torch.zeros(1, 1, 1, 1, dtype=torch.int32), BLOCK_SIZE=4)
assert isinstance(mask, BlockMask)
"""


def test_what_is_postponed_is_read_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", STAND_INS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
