"""Whisper's encoder on true lengths: the same numbers as transformers, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor, WhisperModel

from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.whisper_network import LogMel, WhisperEncoder

THIRTY_SECONDS = 480000


@pytest.fixture
def encoder(tiny_whisper: Path) -> WhisperEncoder:
    return WhisperEncoder(str(tiny_whisper)).eval()


def speech(*samples: int) -> tuple[Tensor, Tensor]:
    """A batch of noise of different loudness, with rubbish behind each utterance."""
    generator = torch.Generator().manual_seed(1)
    batch = torch.randn(len(samples), max(samples), generator=generator)
    batch = batch * torch.logspace(-3, -0.5, len(samples))[:, None]
    for row, count in enumerate(samples):
        batch[row, count:] = 1e4
    return batch, torch.tensor(samples)


@pytest.mark.parametrize("mel_bins", [80, 128])
def test_log_mel_is_that_of_transformers(mel_bins: int) -> None:
    waveform = speech(100_000)[0][0]
    extractor = WhisperFeatureExtractor(feature_size=mel_bins)
    expected = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="pt")
    padded = torch.nn.functional.pad(waveform, (0, THIRTY_SECONDS - len(waveform)))
    found = LogMel(mel_bins)(padded)
    torch.testing.assert_close(found, expected.input_features[0], rtol=0, atol=1e-4)


@torch.no_grad()
def test_thirty_seconds_equal_the_encoder_of_transformers(
    encoder: WhisperEncoder, tiny_whisper: Path
) -> None:
    waveform = speech(THIRTY_SECONDS)[0]
    inputs = WhisperFeatureExtractor()(
        waveform[0].numpy(), sampling_rate=16000, return_tensors="pt"
    ).input_features
    reference = WhisperModel.from_pretrained(tiny_whisper).get_encoder()(inputs)
    found, lengths = encoder(waveform, torch.tensor([THIRTY_SECONDS]))
    assert lengths.tolist() == [1500]
    torch.testing.assert_close(found, reference.last_hidden_state, rtol=1e-5, atol=1e-5)


LENGTHS = (160, 1, 500, 8000, 9999, 33333, 64000)


@torch.no_grad()
@pytest.mark.parametrize("silence", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_mates_do_not_matter(tiny_whisper: Path, silence: float, dtype: torch.dtype) -> None:
    encoder = WhisperEncoder(str(tiny_whisper), silence).eval()
    encoder.encoder.to(dtype)
    batch, lengths = speech(*LENGTHS)
    together, frames = encoder(batch, lengths)
    for row, count in enumerate(LENGTHS):
        alone, one = encoder(batch[row : row + 1, :count], lengths[row : row + 1])
        assert one.item() == frames[row].item() == alone.shape[1]
        # Leaking padding would show in double precision; in single, rounding is all there is.
        tolerance = 1e-5 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(
            together[row, : one.item()], alone[0], rtol=tolerance, atol=tolerance
        )
        assert not together[row, one.item() :].any()


def test_gradients_do_not_depend_on_batch_mates(encoder: WhisperEncoder) -> None:
    encoder.encoder.double()
    batch, lengths = speech(8000, 33333)
    alone = encoder(batch[:1, :8000], lengths[:1])[0].square().sum()
    parameter = encoder.encoder.conv1.weight
    (expected,) = torch.autograd.grad(alone, parameter)
    (found,) = torch.autograd.grad(encoder(batch, lengths)[0][0].square().sum(), parameter)
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_a_frame_is_twenty_milliseconds(encoder: WhisperEncoder) -> None:
    _, frames = encoder(*speech(16000))
    assert frames.tolist() == [75]  # a second of speech and half a second of silence
    assert (encoder.frame_seconds, encoder.output_size) == (0.02, 32)


def test_silence_never_exceeds_thirty_seconds(encoder: WhisperEncoder) -> None:
    with torch.no_grad():
        _, frames = encoder(*speech(THIRTY_SECONDS - 100))
    assert frames.tolist() == [1500]


def test_too_long_and_empty_utterances_are_refused(encoder: WhisperEncoder) -> None:
    with pytest.raises(UserError, match=r"lasts 31\.0 s, but Whisper takes at most 30 s"):
        encoder(torch.zeros(1, 31 * 16000), torch.tensor([31 * 16000]))
    with pytest.raises(UserError, match="no samples"):
        encoder(torch.zeros(1, 10), torch.tensor([0]))


def test_a_wrong_path_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model directory"):
        WhisperEncoder(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no Whisper model could be loaded"):
        WhisperEncoder(str(tmp_path))
