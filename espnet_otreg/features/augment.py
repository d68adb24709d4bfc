"""Waveform augmentation: other voices, rooms, channels and noises than those of the training set.

Every step is drawn with its own probability from one random generator, which is seeded by the
utterance id, so that an augmented copy is the same whatever the order or the number of processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from espnet_otreg.config import parse_config
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.features.codecs import CODECS, through_codec
from espnet_otreg.features.distortions import (
    Waveform,
    add_babble,
    add_hum,
    add_noise,
    add_reverberation,
    at_lower_rate,
    band_limit,
    change_speed,
    equalise,
    overdrive,
    quantize,
    quantize_linear,
)
from espnet_otreg.files import read_yaml

# Ranges whose values must lie in another one than all numbers.
_LIMITS = {
    "speed_percent": (1, 1000),
    "reverb_seconds": (0.001, 10.0),
    "hum_hertz": (20.0, 1000.0),
    "lowpass_hertz": (1.0, 7999.0),
    "rate_hertz": (2000, 15999),
    "codec_compression": (0.0, 1.0),
    "linear_bits": (2, 16),
}


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Probability and range of every step, in the order in which they are applied.

    Args:
        speed_probability: resampling, which moves tempo, pitch and formants together.
        speed_percent: slowest and fastest speed in percent.
        reverb_probability: convolution with exponentially decaying noise.
        reverb_seconds: shortest and longest time of decay by 60 dB.
        reverb_direct_db: by how much the direct sound is above all reflections, least and most.
        equaliser_probability: the response of another microphone.
        equaliser_db: lowest and highest gain of one of its six bands.
        noise_probability: additive noise with a spectrum of 1 / frequency^colour.
        noise_snr_db: worst and best signal-to-noise ratio.
        noise_colour: exponents from white (0) to brown (2).
        hum_probability: the hum of the mains with its harmonics.
        hum_snr_db: worst and best signal-to-noise ratio.
        hum_hertz: lowest and highest frequency of the mains.
        babble_probability: several voices in the background that nobody understands.
        babble_snr_db: worst and best signal-to-noise ratio.
        clip_probability: an input that is driven too far.
        clip_db: by how much its peak would be above full scale.
        lowpass_probability: a low-pass filter, as of old recordings and sound files.
        lowpass_hertz: lowest and highest cut-off frequency.
        telephone_probability: 300 to 3,400 Hz.
        rate_probability: a lower sampling rate, in half of the cases without a good filter.
        rate_hertz: lowest and highest of these rates.
        codec_probability: a lossy coding.
        codecs: names of those to choose from.
        codec_compression: from 0, the best quality, to 1, the fewest bits, where it can be chosen.
        quantize_probability: 8-bit mu-law samples.
        linear_probability: few bits with equal steps, as of old sound files.
        linear_bits: fewest and most.
        gain_probability: louder or softer, clipped at full scale.
        gain_db: softest and loudest gain.
    """

    speed_probability: float = 0.8
    speed_percent: tuple[int, ...] = (85, 118)
    reverb_probability: float = 0.3
    reverb_seconds: tuple[float, ...] = (0.1, 0.5)
    reverb_direct_db: tuple[float, ...] = (0.0, 12.0)
    equaliser_probability: float = 0.0
    equaliser_db: tuple[float, ...] = (-8.0, 8.0)
    noise_probability: float = 0.5
    noise_snr_db: tuple[float, ...] = (8.0, 30.0)
    noise_colour: tuple[float, ...] = (0.0, 2.0)
    hum_probability: float = 0.0
    hum_snr_db: tuple[float, ...] = (10.0, 30.0)
    hum_hertz: tuple[float, ...] = (50.0, 60.0)
    babble_probability: float = 0.0
    babble_snr_db: tuple[float, ...] = (10.0, 25.0)
    clip_probability: float = 0.0
    clip_db: tuple[float, ...] = (2.0, 12.0)
    lowpass_probability: float = 0.3
    lowpass_hertz: tuple[float, ...] = (2500.0, 7000.0)
    telephone_probability: float = 0.1
    rate_probability: float = 0.0
    rate_hertz: tuple[int, ...] = (8000, 11025)
    codec_probability: float = 0.0
    codecs: tuple[str, ...] = tuple(CODECS)
    codec_compression: tuple[float, ...] = (0.7, 1.0)
    quantize_probability: float = 0.15
    linear_probability: float = 0.0
    linear_bits: tuple[int, ...] = (7, 9)
    gain_probability: float = 0.5
    gain_db: tuple[float, ...] = (-15.0, 6.0)

    def validate(self) -> list[str]:
        """One sentence for each value out of range."""
        errors = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_probability"):
                if not 0 <= value <= 1:
                    errors.append(f"{field.name}: {value} is not a probability")
            elif field.name == "codecs":
                if not value or not set(value) <= set(CODECS):
                    errors.append(f"codecs: expected some of {', '.join(CODECS)}")
            elif len(value) != 2 or not value[0] <= value[1]:
                errors.append(f"{field.name}: expected [lowest, highest], found {list(value)}")
            elif field.name in _LIMITS:
                lowest, highest = _LIMITS[field.name]
                if value[0] < lowest or value[1] > highest:
                    errors.append(f"{field.name}: must lie between {lowest:g} and {highest:g}")
        return errors


def read_augment_config(path: str | Path | None) -> AugmentConfig:
    """The augmentation of a YAML file; without one, the defaults.

    Raises:
        ConfigErrors: with every mistake of the file.
    """
    if path is None:
        return AugmentConfig()
    errors: list[str] = []
    values = read_yaml(path)
    config = parse_config(AugmentConfig, values, "augment", errors)
    if config is None:
        raise ConfigErrors(errors, str(path))
    return config


def generator_for(utterance: str, copy: int, seed: int) -> np.random.Generator:
    """The random generator of one copy of one utterance.

    >>> int(generator_for("en_a", 1, 0).integers(1000))
    197
    """
    digest = hashlib.sha256(f"{seed}/{copy}/{utterance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


class _Draw:
    """Draws whether a step is taken, and values of its range."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def chosen(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def real(self, bounds: tuple[float, ...]) -> float:
        return float(self.rng.uniform(bounds[0], bounds[1]))

    def whole(self, bounds: tuple[int, ...]) -> int:
        return int(self.rng.integers(bounds[0], bounds[1] + 1))


def _in_the_room(waveform: Waveform, rate: int, config: AugmentConfig, draw: _Draw) -> Waveform:
    """Voice, room, microphone and what else is heard."""
    if draw.chosen(config.speed_probability):
        waveform = change_speed(waveform, draw.whole(config.speed_percent))
    if draw.chosen(config.reverb_probability):
        seconds = draw.real(config.reverb_seconds)
        waveform = add_reverberation(waveform, seconds, rate, draw.rng, config.reverb_direct_db)
    if draw.chosen(config.equaliser_probability):
        waveform = equalise(waveform, config.equaliser_db, rate, draw.rng)
    if draw.chosen(config.noise_probability):
        snr_db, colour = draw.real(config.noise_snr_db), draw.real(config.noise_colour)
        waveform = add_noise(waveform, snr_db, colour, draw.rng)
    if draw.chosen(config.hum_probability):
        snr_db, hertz = draw.real(config.hum_snr_db), draw.real(config.hum_hertz)
        waveform = add_hum(waveform, snr_db, hertz, rate, draw.rng)
    if draw.chosen(config.babble_probability):
        waveform = add_babble(waveform, draw.real(config.babble_snr_db), draw.rng)
    return waveform


def _on_the_way(waveform: Waveform, rate: int, config: AugmentConfig, draw: _Draw) -> Waveform:
    """Amplifier, line, file."""
    if draw.chosen(config.clip_probability):
        waveform = overdrive(waveform, draw.real(config.clip_db))
    if draw.chosen(config.telephone_probability):
        waveform = band_limit(waveform, (300.0, 3400.0), rate)
    elif draw.chosen(config.lowpass_probability):
        waveform = band_limit(waveform, draw.real(config.lowpass_hertz), rate)
    if draw.chosen(config.rate_probability):
        low, clean = draw.whole(config.rate_hertz), draw.chosen(0.5)
        waveform = at_lower_rate(waveform, low, rate, clean)
    if draw.chosen(config.codec_probability):
        codec, compression = draw.rng.choice(config.codecs), draw.real(config.codec_compression)
        waveform = through_codec(waveform, rate, str(codec), compression, draw.rng)
    if draw.chosen(config.quantize_probability):
        waveform = quantize(waveform)
    if draw.chosen(config.linear_probability):
        waveform = quantize_linear(waveform, draw.whole(config.linear_bits))
    if draw.chosen(config.gain_probability):
        waveform = waveform * np.float32(10 ** (draw.real(config.gain_db) / 20))
    return np.clip(waveform, -1.0, 1.0).astype(np.float32)


def augment(
    waveform: Waveform, rate: int, config: AugmentConfig, rng: np.random.Generator
) -> Waveform:
    """One random variant of a waveform.

    Args:
        waveform: (N,) samples in [-1, 1].
        rate: samples per second.
        config: probabilities and ranges.
        rng: see :func:`generator_for`.

    Returns:
        (N',) samples in [-1, 1]; N' differs from N by the change of speed.

    >>> speech = np.sin(np.arange(16000) / 10).astype(np.float32)
    >>> copies = [augment(speech, 16000, AugmentConfig(), generator_for("a", 1, 0)) for _ in "ab"]
    >>> bool(np.array_equal(*copies))
    True
    """
    draw = _Draw(rng)
    return _on_the_way(_in_the_room(waveform, rate, config, draw), rate, config, draw)
