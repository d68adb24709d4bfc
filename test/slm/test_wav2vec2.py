"""wav2vec 2.0 and w2v-BERT: the same numbers as transformers, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_llm import build_tiny_llm
from tiny_speech import build_tiny_speech_model
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoModel

from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.wav2vec2_network import Wav2Vec2Encoder

LENGTHS = (160, 1, 720, 8000, 9999, 33333, 12345)


@pytest.fixture(scope="module", params=["wav2vec2", "wav2vec2-bert"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_speech_model(tmp_path_factory.mktemp("speech") / "model", request.param)


@pytest.fixture
def encoder(directory: Path) -> Wav2Vec2Encoder:
    return Wav2Vec2Encoder(str(directory)).eval()


def speech(*samples: int) -> tuple[Tensor, Tensor]:
    """A batch of noise of different loudness, with rubbish behind each utterance."""
    generator = torch.Generator().manual_seed(1)
    batch = torch.randn(len(samples), max(samples), generator=generator)
    batch = batch * torch.logspace(-3, -0.5, len(samples))[:, None]
    for row, count in enumerate(samples):
        batch[row, count:] = 1e4
    return batch, torch.tensor(samples)


@torch.no_grad()
def test_one_utterance_gives_the_frames_of_transformers(
    encoder: Wav2Vec2Encoder, directory: Path
) -> None:
    waveform, lengths = speech(16000)
    extractor, model = (
        AutoFeatureExtractor.from_pretrained(directory),
        AutoModel.from_pretrained(directory),
    )
    inputs = extractor([waveform[0].numpy()], sampling_rate=16000, return_tensors="pt")
    expected = model.eval()(**inputs).last_hidden_state
    found, frames = encoder(waveform, lengths)
    assert frames.tolist() == [found.size(1)] == [49]  # windows of 25 ms every 20 ms
    torch.testing.assert_close(found, expected[:, :49], rtol=1e-5, atol=1e-5)
    assert (encoder.frame_seconds, encoder.output_size) == (0.02, 32)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_mates_do_not_matter(encoder: Wav2Vec2Encoder, dtype: torch.dtype) -> None:
    encoder.encoder.to(dtype)
    batch, lengths = speech(*LENGTHS)
    together, frames = encoder(batch, lengths)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    for row, count in enumerate(LENGTHS):
        alone, one = encoder(batch[row : row + 1, :count], lengths[row : row + 1])
        assert one.item() == frames[row].item() == alone.shape[1] > 0
        torch.testing.assert_close(
            together[row, : one.item()], alone[0], rtol=tolerance, atol=tolerance
        )
        assert not together[row, one.item() :].any()


def test_only_an_encoder_that_learns_drops(encoder: Wav2Vec2Encoder) -> None:
    batch = speech(16000, 8000)
    encoder.requires_grad_(False).train()
    torch.testing.assert_close(encoder(*batch)[0], encoder(*batch)[0], rtol=0, atol=0)
    encoder.requires_grad_(True).train()
    first = encoder(*batch)[0]
    assert not torch.equal(first, encoder(*batch)[0])
    first.square().sum().backward()
    silent = [n for n, p in encoder.named_parameters() if p.grad is None and "masked_spec" not in n]
    assert silent == []  # no layer is skipped


def test_silence_is_appended_on_request(directory: Path) -> None:
    _, frames = Wav2Vec2Encoder(str(directory), 0.5)(*speech(16000))
    assert frames.tolist() == [74]


def test_other_models_and_empty_utterances_are_refused(
    encoder: Wav2Vec2Encoder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no samples"):
        encoder(torch.zeros(1, 10), torch.tensor([0]))
    with pytest.raises(UserError, match="no such model directory"):
        Wav2Vec2Encoder(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="a model of type llama; this encoder takes wav2vec 2.0"):
        Wav2Vec2Encoder(str(build_tiny_llm(tmp_path / "llm")))
    group = build_tiny_speech_model(
        tmp_path / "group", "wav2vec2", feat_extract_norm="group", do_stable_layer_norm=False
    )
    with pytest.raises(UserError, match="first layer normalises over time"):
        Wav2Vec2Encoder(str(group))
    (group / "model.safetensors").unlink()
    (group / "config.json").write_text('{"model_type": "wav2vec2-bert"}')
    with pytest.raises(UserError, match="no speech encoder could be loaded"):
        Wav2Vec2Encoder(str(group))
