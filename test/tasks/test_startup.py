"""What a training does not import unless it is asked for."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from espnet_otreg.tasks.startup import quick_start
with quick_start():
    from espnet_otreg.tasks.slm import SLMTask
print(*sys.modules)
"""
UNUSED = """espnet2.asr.frontend.s3prl espnet2.gan_tts.jets.jets wandb.sdk
    transformers.models.wav2vec2.modeling_wav2vec2""".split()


def test_a_training_imports_what_it_uses() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    read = set(done.stdout.split())
    assert {"torch", "espnet2.tasks.abs_task", "espnet_otreg.tasks.slm"} <= read
    assert sorted(read.intersection(UNUSED)) == []
