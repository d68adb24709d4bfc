"""Waveform augmentation: other voices, rooms, channels and noises than those of the training set.

Every step is drawn with its own probability from one random generator, which is seeded by the
utterance id, so that an augmented copy is the same whatever the order or the number of processes.

``scipy.signal`` takes seconds to import: what only names the configuration does not wait for it.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Probability and range of every step, in the order in which they are applied.

    Args:
        speed_probability: resampling, which moves tempo, pitch and formants together.
        speed_percent: slowest and fastest speed in percent.
        reverb_probability: convolution with exponentially decaying noise.
        reverb_seconds: shortest and longest time of decay by 60 dB.
        noise_probability: additive noise with a spectrum of 1 / frequency^colour.
        noise_snr_db: worst and best signal-to-noise ratio.
        noise_colour: exponents from white (0) to brown (2).
        lowpass_probability: a low-pass filter, as of old recordings and sound files.
        lowpass_hertz: lowest and highest cut-off frequency.
        telephone_probability: 300 to 3,400 Hz.
        quantize_probability: 8-bit mu-law samples.
        gain_probability: louder or softer, clipped at full scale.
        gain_db: softest and loudest gain.
    """

    speed_probability: float = 0.8
    speed_percent: tuple[int, ...] = (85, 118)
    reverb_probability: float = 0.3
    reverb_seconds: tuple[float, ...] = (0.1, 0.5)
    noise_probability: float = 0.5
    noise_snr_db: tuple[float, ...] = (8.0, 30.0)
    noise_colour: tuple[float, ...] = (0.0, 2.0)
    lowpass_probability: float = 0.3
    lowpass_hertz: tuple[float, ...] = (2500.0, 7000.0)
    telephone_probability: float = 0.1
    quantize_probability: float = 0.15
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
            elif len(value) != 2 or value[0] > value[1]:
                errors.append(f"{field.name}: expected [lowest, highest], found {list(value)}")
            elif field.name in ("speed_percent", "reverb_seconds") and value[0] <= 0:
                errors.append(f"{field.name}: {value[0]} is not positive")
            elif field.name == "lowpass_hertz" and not 0 < value[0] <= value[1] < 8000:
                errors.append(f"{field.name}: must lie between 0 and 8000")
        return errors


def generator_for(utterance: str, copy: int, seed: int) -> np.random.Generator:
    """The random generator of one copy of one utterance.

    >>> int(generator_for("en_a", 1, 0).integers(1000))
    197
    """
    digest = hashlib.sha256(f"{seed}/{copy}/{utterance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def change_speed(waveform: Waveform, percent: int) -> Waveform:
    """Play at ``percent`` of the speed; the result has ``100 / percent`` times the samples.

    >>> len(change_speed(np.zeros(1100, np.float32), 110))
    1000
    """
    from scipy import signal

    return signal.resample_poly(waveform, 100, percent).astype(np.float32)


def add_reverberation(
    waveform: Waveform, seconds: float, rate: int, rng: np.random.Generator
) -> Waveform:
    """Convolve with a direct impulse followed by noise that decays by 60 dB in ``seconds``."""
    from scipy import signal

    samples = max(2, round(seconds * rate))
    tail = rng.standard_normal(samples) * 10 ** (-3 * np.arange(samples) / samples)
    tail[: rate // 500] = 0.0  # nothing comes back within 2 ms
    energy = np.sqrt(np.sum(tail**2)) or 1.0
    direct_to_tail = 10 ** (rng.uniform(0.0, 12.0) / 20)
    response = tail / (energy * direct_to_tail)
    response[0] = 1.0
    return signal.fftconvolve(waveform, response)[: len(waveform)].astype(np.float32)


def add_noise(
    waveform: Waveform, snr_db: float, colour: float, rng: np.random.Generator
) -> Waveform:
    """Add noise of power spectrum ``1 / f^colour`` at a signal-to-noise ratio over the whole."""
    spectrum = np.fft.rfft(rng.standard_normal(len(waveform)))
    spectrum /= np.maximum(1.0, np.arange(len(spectrum))) ** (colour / 2)
    noise = np.fft.irfft(spectrum, n=len(waveform))
    power, noise_power = float(np.mean(waveform**2)), float(np.mean(noise**2))
    scale = np.sqrt(power / (noise_power or 1.0)) * 10 ** (-snr_db / 20)
    return (waveform + scale * noise).astype(np.float32)


def band_limit(waveform: Waveform, edges: float | tuple[float, float], rate: int) -> Waveform:
    """Keep what lies below one frequency, or between two, in hertz (Butterworth, 8th order)."""
    from scipy import signal

    kind = "bandpass" if isinstance(edges, tuple) else "lowpass"
    order = 4 if kind == "bandpass" else 8
    sections = signal.butter(order, edges, kind, fs=rate, output="sos")
    return signal.sosfilt(sections, waveform).astype(np.float32)


def quantize(waveform: Waveform) -> Waveform:
    """Round to the 256 levels of mu-law coding, as telephones do."""
    mu = 255.0
    clipped = np.clip(waveform, -1.0, 1.0)
    levels = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / np.log1p(mu)
    levels = np.round(levels * 127.5) / 127.5
    return (np.sign(levels) * np.expm1(np.abs(levels) * np.log1p(mu)) / mu).astype(np.float32)


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

    def chosen(probability: float) -> bool:
        return bool(rng.random() < probability)

    def drawn(bounds: tuple[float, ...]) -> float:
        return float(rng.uniform(bounds[0], bounds[1]))

    if chosen(config.speed_probability):
        slowest, fastest = config.speed_percent
        waveform = change_speed(waveform, int(rng.integers(slowest, fastest + 1)))
    if chosen(config.reverb_probability):
        waveform = add_reverberation(waveform, drawn(config.reverb_seconds), rate, rng)
    if chosen(config.noise_probability):
        snr_db, colour = drawn(config.noise_snr_db), drawn(config.noise_colour)
        waveform = add_noise(waveform, snr_db, colour, rng)
    if chosen(config.telephone_probability):
        waveform = band_limit(waveform, (300.0, 3400.0), rate)
    elif chosen(config.lowpass_probability):
        waveform = band_limit(waveform, drawn(config.lowpass_hertz), rate)
    if chosen(config.quantize_probability):
        waveform = quantize(waveform)
    if chosen(config.gain_probability):
        waveform = waveform * np.float32(10 ** (drawn(config.gain_db) / 20))
    return np.clip(waveform, -1.0, 1.0).astype(np.float32)
