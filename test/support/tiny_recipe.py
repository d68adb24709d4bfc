"""A whole recipe that runs in a minute: a few tones as speech, a tiny Whisper, a tiny LLM."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import yaml
from tiny_llm import SENTENCES

TEMPLATE = Path(__file__).resolve().parents[2] / "egs2/TEMPLATE/slm1"
SETS = {"train": (2, "tiny"), "dev": (1, "tiny"), "test": (1, "tiny"), "ood": (1, "other")}

RUN = f"""#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
exec {TEMPLATE}/slm.sh --preset tiny --in_domain tiny --limit 50 --nj 1 --floor_modes "" -- "$@"
"""
# The corpus is there already; a real one is fetched and taken apart here.
DATA = """#!/usr/bin/env bash
set -euo pipefail
mkdir -p data
cp -r corpus/train corpus/dev corpus/test corpus/ood data/
"""
BASE = {
    "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
    "optim": "adamw",
    "optim_conf": {"lr": 0.002},
    "batch_type": "sorted",
    "batch_size": 8,
    "num_iters_per_epoch": 3,
    "max_epoch": 4,
    "num_workers": 0,
    "use_matplotlib": False,
    "use_tensorboard": False,
    "best_model_criterion": [["valid", "loss", "min"]],
    "keep_nbest_models": 1,
}
WITH_LLM = {
    "llm_conf": {"adapter": "lora", "lora_rank": 2},
    "compression_conf": {"method": "ctc"},
}
RUNS = {
    "pretrain": {
        "title": "pretrained projector",
        "checkpoint": "latest",
        "modes": ["ctc"],
        "set": {
            "model_conf": {"cross_entropy_weight": 0.0},
            "regularizers": [{"ctc": {"weight": 1.0}}],
        },
    },
    "sft": {"like": "control", "after": "pretrain@latest", "title": "SFT"},
    "control": {"after": "sft@best", "set": WITH_LLM},
    "otreg": {
        "like": "control",
        "title": "OTReg",
        "set": {"regularizers": [{"otreg": {"weight": 0.3}}]},
    },
}
EXPERIMENT = {
    "augment_copies": 0,
    "base": "base.yaml",
    "pretrainings": ["pretrain"],
    "arms": ["otreg"],
    "runs": RUNS,
    "compare": [
        {"baseline": "control", "candidate": "otreg", "primary": True},
        {"baseline": "sft", "candidate": "control"},
    ],
}


def write_preset(conf: Path, encoder: Path | str, llm: Path | str, **changed: object) -> Path:
    """Write ``experiment.yaml`` and ``base.yaml``, with other values of some of the keys of the
    former."""
    conf.mkdir(parents=True, exist_ok=True)
    values = {"encoder": str(encoder), "llm": str(llm), **EXPERIMENT, **changed}
    (conf / "experiment.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (conf / "base.yaml").write_text(yaml.safe_dump(BASE, sort_keys=False))
    return conf


def _write_tone(path: Path, text: str, seed: int) -> None:
    """Each letter sounds at its own pitch for 60 ms, under some noise."""
    import numpy as np

    time = np.arange(960) / 16000
    letters = [np.sin(2 * np.pi * (150 + 40 * (ord(letter) % 64)) * time) for letter in text]
    tone = np.concatenate(letters)
    tone = 0.5 * tone + 0.02 * np.random.default_rng(seed).standard_normal(len(tone))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((tone * 16000).astype("<i2").tobytes())


def _write_set(directory: Path, copies: int, domain: str) -> None:
    (directory / "wavs").mkdir(parents=True)
    rows = sorted(
        (f"{language}_{domain}_a_{n}{copy}", sentence, language)
        for language, sentences in SENTENCES.items()
        for n, sentence in enumerate(sentences)
        for copy in range(copies)
    )
    tables: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2lang")}
    tables["utt2domain"] = []
    for seed, (key, sentence, language) in enumerate(rows):
        wav = directory / "wavs" / f"{key}.wav"
        _write_tone(wav, sentence, seed)
        values = {"wav.scp": wav, "text": sentence, "utt2lang": language, "utt2domain": domain}
        for name, value in values.items():
            tables[name].append(f"{key} {value}\n")
    for name, lines in tables.items():
        (directory / name).write_text("".join(lines), encoding="utf-8")


class TinyRecipe:
    """The recipe's directory and how to run it."""

    def __init__(
        self, directory: Path, encoder: Path, llm: Path, python: Path | None = None
    ) -> None:
        self.directory = directory
        self.python = python or Path(sys.executable).parent
        for name, (copies, domain) in SETS.items():
            _write_set(directory / "corpus" / name, copies, domain)
        write_preset(directory / "conf/tiny", encoder, llm)
        (directory / "local").mkdir()
        for name, script in {"run.sh": RUN, "local/data.sh": DATA}.items():
            (directory / name).write_text(script)
            (directory / name).chmod(0o755)

    def command(self, *options: str) -> tuple[list[str], dict[str, str]]:
        """Words and environment; the Python is that of the tests if the recipe has no other."""
        environment = {
            **os.environ,
            "PATH": f"{self.python}:{os.environ['PATH']}",
            "OTREG_VENV": str(self.directory / "none"),
            "OMP_NUM_THREADS": "1",
        }
        return [str(self.directory / "run.sh"), *options], environment

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        words, environment = self.command(*options)
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    def copy(self, directory: Path) -> TinyRecipe:
        """The recipe elsewhere, with all that it has made; it reads the same recordings."""
        shutil.copytree(self.directory, directory, symlinks=True)
        other = copy.copy(self)
        other.directory = directory
        return other

    def outcome(self) -> dict[str, str]:
        """Digests of the final table, if it is there, of all hypotheses and of the parameters of
        every model."""
        import torch

        exp = self.directory / "exp/tiny"
        digests = {}
        for path in [*exp.glob("report/table.txt"), *exp.glob("*/*/*/text")]:
            digests[str(path.relative_to(exp))] = hashlib.sha256(path.read_bytes()).hexdigest()
        for path in exp.glob("*/[0-9]*epoch.pth"):
            state = torch.load(path, weights_only=True)
            content = b"".join(state[key].numpy().tobytes() for key in sorted(state))
            digests[str(path.relative_to(exp))] = hashlib.sha256(content).hexdigest()
        return digests

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start in a process group of its own."""
        words, environment = self.command(*options)
        return subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
