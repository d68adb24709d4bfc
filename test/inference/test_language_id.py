"""Language identification against transformers' own, with a tiny Whisper of random weights."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import Wav2Vec2Config, Wav2Vec2Model, WhisperFeatureExtractor

from espnet_otreg.errors import UserError
from espnet_otreg.inference.language_id import LanguageIdentifier, whisper_directory
from espnet_otreg.models_offline.directory import weights_sha256
from espnet_otreg.models_offline.whisper_files import save_whisper


@pytest.fixture(scope="module")
def whisper(tiny_whisper_model: Any, whisper_tokenizer_json: Path, tmp_path_factory: Any) -> Path:
    directory = tmp_path_factory.mktemp("lid") / "whisper"
    settings = {"alignment_heads": [[0, 0]], "suppress_ids": [], "suppress_ids_begin": []}
    model = copy.deepcopy(tiny_whisper_model)
    # Fresh weights are so small that the sound hardly matters.
    torch.manual_seed(0)
    encoder, decoder = model.model.encoder, model.model.decoder
    listening = [encoder.conv1.weight, encoder.conv2.weight]
    for parameter in (*listening, *decoder.layers[0].encoder_attn.parameters()):
        torch.nn.init.normal_(parameter)
    save_whisper(model, whisper_tokenizer_json, settings, directory)
    return directory


def waveforms() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    seconds = (0.5, 2.0, 1.1, 30.0)
    speech = [0.2 * rng.standard_normal(round(16000 * s)).astype(np.float32) for s in seconds]
    tones = [np.sin(np.arange(8000) * f).astype(np.float32) for f in (0.05, 0.3, 1.0)]
    return [*speech, *tones]


def test_it_says_what_transformers_says(whisper: Path, tiny_whisper_model: Any) -> None:
    identify = LanguageIdentifier(whisper)
    model = identify._model
    names = {index: token.strip("<|>") for token, index in
             model.generation_config.lang_to_id.items()}  # fmt: skip
    heard = waveforms()
    features = WhisperFeatureExtractor(feature_size=80)(
        heard, sampling_rate=16000, return_tensors="pt"
    ).input_features
    expected = [names[int(index)] for index in model.detect_language(features)]
    found = identify(heard)
    assert [language for language, _ in found] == expected and len(set(expected)) > 1
    assert all(0.2 <= probability <= 1.0 for _, probability in found)
    assert identify(heard[1:2]) == found[1:2]  # alone as in a batch, to the last bit
    assert sum(identify.probabilities(heard[0]).values()) == pytest.approx(1.0)


def test_silence_one_sample_and_what_lies_behind_30_s(whisper: Path) -> None:
    identify = LanguageIdentifier(whisper)
    for quiet in (np.zeros(16000), np.zeros(1), [0.5]):
        [(language, probability)] = identify([quiet])
        assert language in ("en", "es", "fr", "it", "ru") and 0 < probability <= 1
    long = np.concatenate([waveforms()[3], np.ones(16000, dtype=np.float32)])
    assert identify([long]) == identify([long[: 30 * 16000]])
    for bad in (np.zeros(0), np.full(160, np.nan), np.zeros((2, 160))):
        with pytest.raises(UserError, match="finite samples of one channel"):
            identify([bad])


def test_of_equally_probable_languages_the_first_of_the_alphabet_is_taken(whisper: Path) -> None:
    identify = LanguageIdentifier(whisper)
    torch.nn.init.zeros_(identify._model.proj_out.weight)
    [(language, probability)] = identify([np.ones(1600)])
    assert language == "en" and probability == pytest.approx(0.2)


def _copy(whisper: Path, target: Path) -> Path:
    shutil.copytree(whisper, target)
    return target


def test_models_that_cannot_tell_say_why(whisper: Path, tmp_path: Path) -> None:
    english = _copy(whisper, tmp_path / "english")
    config = json.loads((english / "generation_config.json").read_text())
    del config["lang_to_id"]
    (english / "generation_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"no language tokens, as with English-only .*give the lan"):
        LanguageIdentifier(english)

    from safetensors.torch import load_file, save_file

    half = _copy(whisper, tmp_path / "half")
    tensors = load_file(half / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if "decoder" not in name},
              half / "model.safetensors", {"format": "pt"})  # fmt: skip
    with pytest.raises(UserError, match=r"decoder\.\S+ is not among its weights; give"):
        LanguageIdentifier(half)

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small = Wav2Vec2Config(**sizes, intermediate_size=16, conv_dim=(8,), conv_kernel=(10,),
                           conv_stride=(5,), num_conv_pos_embeddings=4,
                           num_conv_pos_embedding_groups=2)  # fmt: skip
    Wav2Vec2Model(small).save_pretrained(tmp_path / "wav2vec2")
    with pytest.raises(UserError, match="type wav2vec2 has no language tokens; give the language"):
        LanguageIdentifier(tmp_path / "wav2vec2")


def test_the_whisper_that_a_model_hears_with(whisper: Path, tmp_path: Path) -> None:
    def model(name: str, config: dict[str, Any]) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return tmp_path / name

    own = model("own", {"encoder": "hf_whisper", "encoder_conf": {"model": str(whisper)}})
    assert whisper_directory(own) == whisper
    features = model("features", {"encoder": "precomputed"})
    record = {"encoder": str(whisper), "encoder_sha256": weights_sha256(whisper)}
    (features / "feats.json").write_text(json.dumps(record), encoding="utf-8")
    assert whisper_directory(features) == whisper
    moved = _copy(whisper, tmp_path / "moved")
    assert whisper_directory(features, encoder=str(moved)) == moved
    for name, config in {
        "espnet": {"encoder": "conformer"},
        "xls-r": {"encoder": "hf_wav2vec2", "encoder_conf": {"model": "x"}},
        "unknown": {"encoder": "precomputed"},
    }.items():
        with pytest.raises(UserError, match=r"cannot be identified: .* no Whisper .*give the lang"):
            whisper_directory(model(name, config))
