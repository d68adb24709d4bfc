"""A tiny spoken language model that has learnt its few sentences, in a directory of its own."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from tiny_corpus import DIM, write_features
from tiny_llm import build_tiny_llm


def write_classes(llm: Path, features: Path, path: Path) -> Path:
    """classes.json over the tokens of the transcripts in ``features``."""
    from espnet_otreg.data.kaldi_dir import read_table
    from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

    tokenizer = load_tokenizer(str(llm))
    texts = read_table(features / "text").values()
    ids = sorted({i for text in texts for i in encode_transcript(tokenizer, text)})
    path.write_text(
        json.dumps({"token_ids": ids, "anchor_token_id": tokenizer.pad_token_id}), encoding="utf-8"
    )
    return path


def tiny_config(llm: Path, classes: Path, features: Path) -> dict[str, Any]:
    """What config.yaml of a training directory holds, as far as decoding reads it."""
    return {
        "encoder_conf": {"input_size": DIM, "frame_seconds": 0.02},
        "projector_conf": {"stack": 2, "layers": 1, "width": 48, "heads": 4, "dropout": 0.0},
        "llm_conf": {"model": str(llm), "adapter": "lora", "lora_rank": 8, "lora_dropout": 0.0},
        "prompt_conf": {"templates": {"default": "{speech}", "it": "{speech}<it>"}},
        "readout_conf": {"classes": str(classes)},
        "compression_conf": {"method": "ctc"},
        "regularizers": [{"ctc": {"weight": 1.0}}],
        "train": ["^llm[.]"],
        "train_data_path_and_name_and_type": [
            [str(features / "feats.scp"), "speech", "kaldi_ark"],
            [str(features / "text"), "text", "text"],
        ],
    }


def train_tiny_slm(root: Path, steps: int = 150) -> Path:
    """Make ``root/{llm,features,classes.json,exp}`` and train; returns ``root/exp``."""
    import kaldiio
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from espnet_otreg.data.kaldi_dir import read_table
    from espnet_otreg.objectives.training import build_training_model
    from espnet_otreg.slm.prompt import encode_transcript
    from espnet_otreg.slm.trained_languages import write_trained_languages

    llm = build_tiny_llm(root / "llm")
    features = write_features(root / "features", copies=1)
    classes = write_classes(llm, features, root / "classes.json")
    config = tiny_config(llm, classes, features)
    torch.manual_seed(0)
    model = build_training_model(config).train()
    texts, languages = read_table(features / "text"), read_table(features / "utt2lang")
    sources = read_table(features / "feats.scp")
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    keys = sorted(texts)
    draw = random.Random(0)
    for _ in range(steps):
        batch = draw.sample(keys, 8)
        speech = [torch.tensor(kaldiio.load_mat(sources[key])) for key in batch]
        tokens = [encode_transcript(model.llm.tokenizer, texts[key]) for key in batch]
        spelt = [[ord(c) for c in languages[key]] for key in batch]
        loss, _, _ = model(
            speech=pad_sequence(speech, batch_first=True),
            speech_lengths=torch.tensor([len(x) for x in speech]),
            text=pad_sequence([torch.tensor(t) for t in tokens], True, -1),
            text_lengths=torch.tensor([len(t) for t in tokens]),
            language=torch.tensor(spelt),
            language_lengths=torch.full((8,), 2),
            utt_id=batch,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    directory = root / "exp"
    directory.mkdir()
    (directory / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    torch.save(model.state_dict(), directory / "valid.loss.best.pth")
    write_trained_languages(directory, Counter(languages.values()), 0, resumed=False)
    return directory
