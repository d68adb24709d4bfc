"""Ten utterances by heart before a training, which goes on as if that had not been."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_training import TinyTraining, checkpoint, same

from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.tasks import sanity
from espnet_otreg.tasks.interruption import random_state
from espnet_otreg.tasks.sanity import overfit_ten

RATE = 16000
LETTER = 0.04  # seconds

# BatchNorm in the encoder, SpecAug and dropout: what a training leaves beside its parameters.
CONFORMER = {
    "frontend": "default",
    "frontend_conf": {"fs": RATE, "n_fft": 256, "hop_length": 160, "n_mels": 12},
    "specaug": "specaug",
    "specaug_conf": {"freq_mask_width_range": [0, 3], "time_mask_width_range": [0, 3]},
    "encoder": "conformer",
    "encoder_conf": {
        "output_size": 8, "attention_heads": 2, "num_blocks": 1, "linear_units": 8,
        "cnn_module_kernel": 3, "input_layer": "conv2d2",
    },
    "compression_conf": {},
    "regularizers": [],
    "train": ["^llm[.]"],
}  # fmt: skip


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left behind can be seen after a few; that they suffice is tested elsewhere."""
    monkeypatch.setattr(sanity, "_STEPS", 3)
    monkeypatch.setattr(sanity, "_REQUIRED_RATIO", 2.0)


def sound(text: str) -> np.ndarray:
    """A tone for every letter."""
    times = np.arange(int(RATE * LETTER)) / RATE
    return np.concatenate([np.sin(2 * np.pi * (20 * ord(c) - 1500) * times) for c in text]) / 4


def test_a_training_with_sanity_is_the_one_without(
    train: Callable[..., Path],
    tiny_training: TinyTraining,
    few_steps: None,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    tables = {}
    for kind in ("train", "valid"):
        (tmp_path / kind).mkdir()
        tables[kind] = tmp_path / kind / "wav.scp"
        rows = (tiny_training.root / kind / "text").read_text().splitlines()
        with open(tables[kind], "w") as scp:
            for key, text in (row.split(maxsplit=1) for row in rows):
                path = tmp_path / kind / f"{key}.wav"
                soundfile.write(path, sound(text), RATE)
                scp.write(f"{key} {path}\n")
    run = {"config": {**CONFORMER, "num_iters_per_epoch": 1}, "speech": tables}
    plain = train("plain", "--max_epoch", "1", **run)
    checked = train("checked", "--max_epoch", "1", "--sanity", "true", **run)
    assert "sanity: loss on ten utterances" in capfd.readouterr().out
    one, two = checkpoint(plain), checkpoint(checked)
    assert any("running_mean" in name for name in one["model"])
    assert same(one, two)


def test_nothing_is_changed_by_it(tiny_training: TinyTraining, few_steps: None) -> None:
    model = build_training_model(
        {"llm_conf": {"model": str(tiny_training.llm)}, **CONFORMER}
    ).eval()  # fmt: skip
    model.step = 7
    gradient = torch.ones_like(model.projector.gain)
    model.projector.gain.grad = gradient
    before = {name: value.clone() for name, value in torch.nn.Module.state_dict(model).items()}

    def batches() -> Iterator[tuple[list[str], dict[str, torch.Tensor]]]:
        random.random()
        np.random.rand()
        torch.rand(1)
        texts = ["uno", "due tre"]
        speech = [torch.from_numpy(sound(text)).float() for text in texts]
        yield (
            ["a", "b"],
            {
                "speech": torch.nn.utils.rnn.pad_sequence(speech, batch_first=True),
                "speech_lengths": torch.tensor([len(each) for each in speech]),
                "text": torch.tensor([[20, 21, -1], [30, 31, 32]]),
                "text_lengths": torch.tensor([2, 3]),
            },
        )

    state = random_state()
    first, last = overfit_ten(model, batches, ngpu=0)
    assert last != first
    assert same(random_state(), state)
    after = torch.nn.Module.state_dict(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module.training for module in model.modules()) and model.step == 7
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(grads) == 1 and grads[0] is gradient
