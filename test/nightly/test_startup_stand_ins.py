"""What the stand-ins of a quick start stand for is read when it is used, and works."""

from __future__ import annotations

import subprocess
import sys

import pytest

STAND_INS = """
import sys
from espnet_otreg.inference.startup import POSTPONED, without_compiler
from espnet_otreg.startup import _StandIn
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
TRAINING = """
from espnet_otreg.tasks.startup import quick_start
with quick_start():
    from espnet_otreg.tasks.slm import SLMTask
import torch
from espnet2.main_funcs import calculate_all_attentions as plotting
from espnet2.tasks import abs_task
assert not isinstance(torch.nn.Linear(1, 1), plotting.AlignmentModule)
try:
    abs_task.create_adapter(torch.nn.Linear(1, 1), "of glass", {})
except AssertionError as error:
    assert str(error) == "Adapter of glass is not supported."
else:
    raise SystemExit("no adapter")
from espnet2.gan_tts.jets.alignments import AlignmentModule
assert isinstance(AlignmentModule(4, 4), plotting.AlignmentModule)
assert abs_task.wandb.Settings(mode="offline").mode == "offline"
"""


@pytest.mark.parametrize("program", [STAND_INS, TRAINING], ids=["model", "training"])
def test_what_is_postponed_is_read_when_it_is_used(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
