"""The real training command line on a tiny model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from bad_input import ForkServer, Outcome

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


def checkpoint(directory: Path) -> dict[str, Any]:
    """What a training has come to: parameters, optimisers, schedulers, all losses but no times."""
    import torch

    content = torch.load(directory / "checkpoint.pth", weights_only=True)
    for epoch in content["reporter"]["stats"].values():
        for phase in epoch.values():
            for key in [key for key in phase if key.endswith("time")]:
                del phase[key]
    return content


def same(first: Any, second: Any) -> bool:
    """Whether two nested values are equal, tensors bit for bit; NaN equals itself."""
    import torch

    if torch.is_tensor(first):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second) or (first != first and second != second)


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
    meetings: list[Path] = field(default_factory=list)  # of several processes; each needs its own

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
        self, output: Path, *options: str, config: dict | None = None, **conditions: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return what it printed; ``fault`` (see faults.py) may strike."""
        command = self.command(output, *options, config=config)
        done = self.server(command[2].rpartition(".")[2], *command[3:], **conditions)
        return subprocess.CompletedProcess(command, done.status, done.stdout, done.stderr)

    def train_two(
        self,
        output: Path,
        *options: str,
        config: dict | None = None,
        faults: tuple[dict[str, Any] | None, dict[str, Any] | None] = (None, None),
    ) -> list[Outcome]:
        """Run it as two processes on this machine, which meet at a file."""
        self.meetings.append(output)
        meeting = f"file://{output.parent}/meeting{len(self.meetings)}"
        both = [
            self.command(
                output, *options, "--ngpu", "0", "--dist_backend", "gloo",
                "--multiprocessing_distributed", "false", "--dist_world_size", "2",
                "--dist_rank", str(rank), "--dist_init_method", meeting, config=config,
            )[3:]
            for rank in range(2)
        ]  # fmt: skip
        return self.server.together("slm_train", both, [{"fault": fault} for fault in faults])
