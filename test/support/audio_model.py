"""A tiny spoken language model that reads waveforms through a tiny Whisper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml


def write_audio_model(root: Path, whisper: Path) -> Path:
    """Make ``root/{llm,classes.json,exp}``, untrained; returns ``root/exp``."""
    import torch
    from tiny_llm import SENTENCES, build_tiny_llm
    from tiny_slm import tiny_config

    from espnet_otreg.slm.build import build_model
    from espnet_otreg.slm.config import parse_slm_config
    from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

    llm = build_tiny_llm(root / "llm")
    tokenizer = load_tokenizer(str(llm))
    texts = [text for texts in SENTENCES.values() for text in texts]
    ids = sorted({i for text in texts for i in encode_transcript(tokenizer, text)})
    classes = root / "classes.json"
    classes.write_text(json.dumps({"token_ids": ids, "anchor_token_id": 0}))
    config: dict[str, Any] = tiny_config(llm, classes, root)
    config |= {"encoder": "hf_whisper", "encoder_conf": {"model": str(whisper)}}
    torch.manual_seed(0)
    model = build_model(parse_slm_config(config))
    directory = root / "exp"
    directory.mkdir()
    (directory / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    torch.save(model.state_dict(), directory / "model.pth")
    return directory
