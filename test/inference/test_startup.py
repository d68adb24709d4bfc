"""What a transcription does not import, and that it says the same and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from espnet_otreg.bin.slm_transcribe import main
from espnet_otreg.inference.startup import without_compiler
from espnet_otreg.startup import _StandIn
sys.argv[0] = "slm_transcribe"
main(without_compiler)
read = {name for name, module in sys.modules.items() if not isinstance(module, _StandIn)}
print(*sorted(read), file=open(sys.argv[-1] + ".modules", "w"))
"""
# Seconds of imports, for what a transcription does not do.
UNUSED = """
    torch._dynamo torch._inductor torch.distributed.tensor torch.distributed.fsdp sympy
    torch.fx.experimental.symbolic_shapes torch.nn.attention.flex_attention triton
    scipy.signal scipy.optimize scipy.stats torchaudio librosa numba sklearn matplotlib
    espnet2.tasks.abs_task espnet2.train.trainer transformers.models.wav2vec2.modeling_wav2vec2
    espnet_otreg.slm.encoders.wav2vec2_network espnet_otreg.inference.language_id espnet_otreg.tasks
""".split()


def test_a_transcription_imports_what_it_uses(
    model_dir: Path, recordings: list[Path], texts: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = [str(recordings[0]), "--language", "it", "--model_dir", str(model_dir)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--output", str(output)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert output.read_text(encoding="utf-8") == texts[0] + "\n"
    read = set(Path(f"{output}.modules").read_text().split())
    assert {"torch", "transformers"} <= read
    assert sorted(read.intersection(UNUSED)) == []
