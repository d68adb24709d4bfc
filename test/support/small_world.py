"""A small world in which every command does real work: data, models, scores, an experiment."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from tiny_experiment import plan_mini
from tiny_slm import tiny_config, train_tiny_slm

from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir, write_spk2utt, write_table
from espnet_otreg.files import write_json
from espnet_otreg.models_offline.whisper_files import save_whisper
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.config import parse_slm_config

TEXTS = {
    "en_a": "good morning",
    "en_b": "press four now",
    "it_a": "buon giorno",
    "it_b": "premi quattro adesso",
}


def write_own_corpus(directory: Path) -> None:
    """Four recordings of half a second with all tables; ``audio`` beside it holds them."""
    audio = directory.parent / "audio"
    audio.mkdir()
    generator = np.random.default_rng(0)
    for key in TEXTS:
        hiss = (0.1 * generator.standard_normal(8000)).astype(np.float32)
        soundfile.write(audio / f"{key}.wav", hiss, 16000, subtype="PCM_16")
    write_table(directory / "wav.scp", {key: str(audio / f"{key}.wav") for key in TEXTS})
    write_table(directory / "text", TEXTS)
    write_table(directory / "utt2lang", {key: key[:2] for key in TEXTS})
    write_table(directory / "utt2domain", dict.fromkeys(TEXTS, "own"))
    write_spk2utt(directory, {key: key for key in TEXTS})


def write_waveform_model(root: Path) -> None:
    """An untrained model that listens through Whisper, in ``root/waveform``."""
    config = {
        **tiny_config(root / "slm/llm", root / "slm/classes.json", root / "slm/features"),
        "encoder": "hf_whisper",
        "encoder_conf": {"model": str(root / "whisper")},
    }
    model = build_model(parse_slm_config(config))
    (root / "waveform").mkdir()
    (root / "waveform/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    torch.save(model.state_dict(), root / "waveform/valid.loss.best.pth")


def write_experiment(root: Path) -> None:
    """One pretraining and three models with the scores of three sets."""
    plan_mini(root / "exp" / "own", modes=["llm"])
    for name in ("pretrain", "sft", "control", "otreg"):
        run = root / "exp" / "own" / f"{name}_s1"
        for data in ("dev", "test", "ood"):
            where = run / ("ctc" if name == "pretrain" else "llm") / data
            said = {key: text.replace("o", "a") for key, text in TEXTS.items()}
            write_table(where / "text", said)
            score = score_directory(root / data, where / "text", in_domain=("own",))
            score.write(where / "scoring" / "score.json")
            write_json(where / "status.json", {"joint_weights": {"weight": 0.4}})
        settings = {"seed": 1, "max_epoch": 1, "num_iters_per_epoch": 1, "output_dir": run.name,
                    "llm_conf": {"model": "llm"}, "regularizers": []}  # fmt: skip
        (run / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        (run / "valid.loss.best.pth").write_bytes(b"weights")


def make_small_world(root: Path, whisper: Any, tokenizer_json: Path) -> Path:
    """``own`` (a corpus), ``whisper``, ``slm/{llm,features,classes.json,exp}``, ``exp/own``, ..."""
    write_own_corpus(root / "own")
    for name in ("dev", "test", "ood"):
        shutil.copytree(root / "own", root / name)
    prepared = [
        Utterance(key, f"{key}.wav", f"{text} {n}", text, key[:2], key, "own")
        for key, text in TEXTS.items()
        for n in ("", "a", "b", "c", "d", "e")
    ]
    named = [dataclasses.replace(u, utterance_id=f"{n:02d}") for n, u in enumerate(prepared)]
    write_data_dir(root / "prepared", named)
    other = [dataclasses.replace(u, text=f"x {u.text}", domain="far") for u in named]
    far = [dataclasses.replace(u, utterance_id=f"far{u.utterance_id}") for u in other]
    write_data_dir(root / "far", far)
    settings = {"alignment_heads": [[0, 0]], "suppress_ids": [], "suppress_ids_begin": []}
    save_whisper(copy.deepcopy(whisper), tokenizer_json, settings, root / "whisper")
    (root / "slm").mkdir()
    train_tiny_slm(root / "slm", steps=1)
    (root / "slm/exp/train.log").write_text("# Command: slm_train\n")
    keys = [line.split()[0] for line in (root / "slm/features/text").read_text().splitlines()]
    (root / "slm/features/utt2dur").write_text("".join(f"{key} 1.0\n" for key in keys))
    write_waveform_model(root)
    write_experiment(root)
    (root / "augment.yaml").write_text("speed_probability: 0.5\n")
    (root / "llm.yaml").write_text(
        "vocabulary_size: 40\nhidden_size: 16\nlayers: 1\nheads: 2\nlanguages: [en, it]\n"
        "positions: 300\nbatch_positions: 100\n"
    )
    (root / "synthesis.yaml").write_text(
        "languages: {it: {sentences: 2, readers: [{engine: espeak}]}}\n"
    )
    (root / "corpus").mkdir()
    for language in ("en", "it"):
        lines = "".join(
            f"a line of text {chr(97 + n % 26)} {chr(97 + n // 26)}\n" for n in range(200)
        )
        (root / "corpus" / f"{language}.txt").write_text(lines)
    return root
