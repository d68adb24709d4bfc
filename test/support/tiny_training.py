"""The real training command line on a tiny model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from bad_input import ForkServer

CONFIG = {
    "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
    "llm_conf": {"adapter": "lora", "lora_rank": 2},
    "compression_conf": {"method": "ctc"},
    "regularizers": [{"otreg": {"weight": 0.3}}, {"ctc": {"weight": 0.3}}],
    "optim": "adamw",
    "optim_conf": {"lr": 0.002},
    "batch_type": "sorted",
    "batch_size": 8,
    "num_iters_per_epoch": 3,
    "num_workers": 0,
    "use_matplotlib": False,
    "use_tensorboard": False,
    "best_model_criterion": [["valid", "loss", "min"]],
    "keep_nbest_models": 2,
}


def make_tiny_training(root: Path, server: ForkServer) -> TinyTraining:
    """An LLM, token classes, and features to train on and to validate with."""
    from tiny_corpus import DIM, write_features
    from tiny_llm import SENTENCES, build_tiny_llm

    from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

    llm = build_tiny_llm(root / "llm")
    tokenizer = load_tokenizer(str(llm))
    texts = [text for texts in SENTENCES.values() for text in texts]
    ids = sorted({i for text in texts for i in encode_transcript(tokenizer, text)})
    classes = root / "classes.json"
    classes.write_text(json.dumps({"token_ids": ids, "anchor_token_id": 0}))
    for seed, kind in enumerate(("train", "valid")):
        directory = write_features(root / kind, seed=seed)
        lines = (directory / "text").read_text().splitlines()
        shapes = [f"{line.split()[0]} {4 * len(line.split(maxsplit=1)[1])},{DIM}" for line in lines]
        (directory / "speech_shape").write_text("\n".join(shapes) + "\n")
    return TinyTraining(root, llm, classes, server)


@dataclass(frozen=True)
class TinyTraining:
    """Directories of a tiny training."""

    root: Path
    llm: Path
    classes: Path
    server: ForkServer  # saves every training the import of ESPnet

    def command(self, output: Path, *options: str, config: dict | None = None) -> list[str]:
        """The command line that trains into ``output``."""
        path = output.with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({**CONFIG, **(config or {})}))
        data = []
        for kind in ("train", "valid"):
            directory = self.root / kind
            for source in ("feats.scp,speech,kaldi_ark", "text,text,text",
                           "utt2lang,language,text"):  # fmt: skip
                data += [f"--{kind}_data_path_and_name_and_type", f"{directory}/{source}"]
            data += [f"--{kind}_shape_file", str(directory / "speech_shape")]
        return [
            sys.executable, "-m", "espnet_otreg.bin.slm_train", "--config", str(path), *data,
            "--llm_conf", f"model={self.llm}", "--readout_conf", f"classes={self.classes}",
            "--output_dir", str(output), "--seed", "3", *options,
        ]  # fmt: skip

    def train(
        self, output: Path, *options: str, config: dict | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return what it printed."""
        command = self.command(output, *options, config=config)
        done = self.server(command[2].rpartition(".")[2], *command[3:])
        return subprocess.CompletedProcess(command, done.status, done.stdout, done.stderr)
