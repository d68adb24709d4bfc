"""More tokens than the LLM has positions: named in training, cut or named in decoding."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from edited_model import edited_model
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.errors import UserError
from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.model import SpokenLanguageModel

LIMIT = 24  # positions: BOS, speech of two frames each, <it>, transcript
Build = Callable[..., SpokenLanguageModel]


@pytest.fixture(scope="module")
def learnt(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2, whose positions are a table."""
    directory = tmp_path_factory.mktemp("positions") / "gpt2"
    shutil.copytree(tiny_llm, directory)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=120, n_positions=LIMIT, n_embd=32, n_layer=1, n_head=2, bos_token_id=1,
        eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    # It never says an end token of its own accord: all hypotheses go on to their limit.
    torch.nn.init.normal_(model.transformer.wte.weight, std=0.5)
    model.transformer.ln_f.bias.data.fill_(1.0)
    model.lm_head.weight.data[2] = -10.0
    model.save_pretrained(directory)
    return directory


@pytest.fixture
def build(tiny_classes: Path) -> Build:
    def make(llm: Path, positions: str = "continue") -> SpokenLanguageModel:
        values: dict[str, Any] = {
            "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
            "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
            "llm_conf": {"model": str(llm)},
            "readout_conf": {"classes": str(tiny_classes)},
            "prompt_conf": {"templates": {"default": "{speech}<it>"}, "positions": positions},
        }
        torch.manual_seed(0)
        return build_training_model(values).eval()

    return make


def batch(frames: list[int], tokens: list[int]) -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "speech": pad_sequence([torch.randn(n, 6) for n in frames], batch_first=True),
        "speech_lengths": torch.tensor(frames),
        "text": pad_sequence(
            [torch.full((n,), 20) for n in tokens], batch_first=True, padding_value=-1
        ),
        "text_lengths": torch.tensor(tokens),
        "utt_id": ["one", "two"],
    }


def test_training_names_the_utterance_that_is_too_long(
    build: Build, learnt: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    rotary = edited_model(tiny_llm, tmp_path / "llama", max_position_embeddings=LIMIT)
    for directory in (learnt, rotary):
        model = build(directory)
        model(**batch([8, 30], [10, 7]))  # 1 + 15 + 1 + 7 = 24, and each with the other's speech
        with pytest.raises(UserError, match=r"takes 25 .* \(2 of the prompt, 15 of speech, 8") as e:
            model(**batch([8, 30], [10, 8]))
        assert e.value.where == "utterance two"
    anew = build(rotary, "restart")  # positions of the transcript begin beside the speech's
    anew(**batch([8, 46], [10, 20]))
    with pytest.raises(UserError, match=r"utterance two: it takes 25 positions"):
        anew(**batch([8, 48], [10, 1]))


@pytest.mark.parametrize("beams", [1, 3])
def test_decoding_ends_where_the_positions_end(
    build: Build, learnt: Path, beams: int, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(learnt)
    data = batch([8, 36], [1, 1])
    speech = SpeechBatch(data["speech"], data["speech_lengths"], ["it"] * 2, [0, 0], ["one", "two"])
    options = {"num_beams": beams, "num_samples": 2, "extra_tokens": 30}
    modes = configure_modes(["llm", "sample", "joint", "llm_no_speech"], options)
    found = Recognizer(model)([speech], modes)
    # One token for each position behind BOS, 4 or 18 of speech and <it>; 20 behind silence.
    said = "utterance {}: at most {} tokens instead of 30, because the LLM has 24 positions"
    assert said.format("one", 18) in caplog.text and said.format("two", 4) in caplog.text
    for number, room in enumerate((18, 4)):
        (best, *_) = found["llm"][number]
        assert best.hit_limit
        assert len(model.llm.tokenizer(best.text, add_special_tokens=False).input_ids) <= 2 * room
        assert max(candidate.tokens for candidate in found["joint"][number]) <= room
    assert all(rows[0].hit_limit for rows in found["llm_no_speech"])


def test_a_recording_that_leaves_no_position_is_named(build: Build, learnt: Path) -> None:
    recognize, modes = Recognizer(build(learnt)), configure_modes(["llm"])
    for frames, says in ((44, "take all 24 positions"), (46, "it takes 25 positions of the LLM")):
        data = batch([8, frames], [1, 1])
        speech = SpeechBatch(data["speech"], data["speech_lengths"], ["it"] * 2, [0, 0], "ab")
        with pytest.raises(UserError, match=says) as caught:
            recognize([speech], modes)
        assert caught.value.where == "utterance b"


def test_how_many_positions_an_llm_has(tiny_llm: Path, learnt: Path, tmp_path: Path) -> None:
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}
    yarn["original_max_position_embeddings"] = 2048
    scaled = edited_model(tiny_llm, tmp_path / "yarn", rope_parameters=yarn)
    for directory, expected in ((tiny_llm, 2048), (learnt, LIMIT), (scaled, 8192)):
        assert LLM(LLMConfig(str(directory))).max_positions == expected
    bloom = edited_model(tiny_llm, tmp_path / "bloom")
    config = transformers.BloomConfig(vocab_size=120, hidden_size=32, n_layer=1, n_head=2)
    transformers.BloomForCausalLM(config).save_pretrained(bloom)
    model = LLM(LLMConfig(str(bloom), anchor_token="<ru>"))
    assert model.max_positions is None
