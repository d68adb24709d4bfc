"""What rooms, microphones, channels and old equipment do to a waveform: one function for each.

``scipy`` takes seconds to import: what only names the configuration does not wait for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

# Frequencies in hertz at which a microphone's response is drawn; between them it is straight over
# the logarithm of the frequency.
_BANDS = (60.0, 200.0, 600.0, 1500.0, 3500.0, 8000.0)
_HARMONICS = 8  # of the mains, in its hum
_TALKERS = 4  # voices in a babble


def fitted(waveform: Waveform, samples: int) -> Waveform:
    """A waveform cut, or filled up with silence, to a number of samples.

    >>> fitted(np.ones(3, np.float32), 4).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    result = np.zeros(samples, np.float32)
    result[: len(waveform)] = waveform[:samples]
    return result


def change_speed(waveform: Waveform, percent: int) -> Waveform:
    """Play at ``percent`` of the speed; the result has ``100 / percent`` times the samples.

    >>> len(change_speed(np.zeros(1100, np.float32), 110))
    1000
    """
    from scipy import signal

    return signal.resample_poly(waveform, 100, percent).astype(np.float32)


def add_reverberation(
    waveform: Waveform,
    seconds: float,
    rate: int,
    rng: np.random.Generator,
    direct_db: tuple[float, ...] = (0.0, 12.0),
) -> Waveform:
    """Convolve with a direct impulse followed by noise that decays by 60 dB in ``seconds``.

    Args:
        waveform: (N,) samples.
        seconds: time of decay.
        rate: samples per second.
        rng: draws the noise, and by how many decibels the direct sound is above all of it.
        direct_db: least and most of these.
    """
    from scipy import signal

    samples = max(2, round(seconds * rate))
    tail = rng.standard_normal(samples) * 10 ** (-3 * np.arange(samples) / samples)
    tail[: rate // 500] = 0.0  # nothing comes back within 2 ms
    energy = np.sqrt(np.sum(tail**2)) or 1.0
    direct_to_tail = 10 ** (rng.uniform(direct_db[0], direct_db[1]) / 20)
    response = tail / (energy * direct_to_tail)
    response[0] = 1.0
    return signal.fftconvolve(waveform, response)[: len(waveform)].astype(np.float32)


def _mixed(waveform: Waveform, noise: NDArray[np.floating], snr_db: float) -> Waveform:
    """A waveform and noise at a signal-to-noise ratio over the whole."""
    power, noise_power = float(np.mean(waveform**2)), float(np.mean(noise**2))
    scale = np.sqrt(power / (noise_power or 1.0)) * 10 ** (-snr_db / 20)
    return (waveform + scale * noise).astype(np.float32)


def add_noise(
    waveform: Waveform, snr_db: float, colour: float, rng: np.random.Generator
) -> Waveform:
    """Add noise of power spectrum ``1 / f^colour`` at a signal-to-noise ratio over the whole."""
    from scipy import fft

    samples = fft.next_fast_len(len(waveform), real=True)  # a prime number takes ten times as long
    spectrum = fft.rfft(rng.standard_normal(samples, np.float32))
    spectrum /= np.maximum(1.0, np.arange(len(spectrum), dtype=np.float32)) ** (colour / 2)
    return _mixed(waveform, fft.irfft(spectrum, n=samples)[: len(waveform)], snr_db)


def add_hum(
    waveform: Waveform, snr_db: float, hertz: float, rate: int, rng: np.random.Generator
) -> Waveform:
    """Add the hum of the mains: a tone and its harmonics, each fainter by 0 to 12 dB."""
    phase = 2 * np.pi * hertz / rate * np.arange(len(waveform))
    hum = np.zeros(len(waveform))
    level = 1.0
    for harmonic in range(1, _HARMONICS + 1):
        hum += level * np.sin(harmonic * phase + rng.uniform(0.0, 2 * np.pi))
        level *= 10 ** (-rng.uniform(0.0, 12.0) / 20)
    return _mixed(waveform, hum, snr_db)


def add_babble(waveform: Waveform, snr_db: float, rng: np.random.Generator) -> Waveform:
    """Add several voices that nobody understands: the utterance itself, backwards, at other speeds.

    It has the spectrum and the rhythm of speech, and needs no other recording.
    """
    babble = np.zeros(len(waveform), np.float32)
    for _ in range(_TALKERS):
        voice = change_speed(waveform[::-1], int(rng.integers(80, 126)))
        place = int(rng.integers(len(voice)))
        babble += np.resize(np.roll(voice, place), len(waveform))
    return _mixed(waveform, babble, snr_db)


def equalise(
    waveform: Waveform, gains_db: tuple[float, ...], rate: int, rng: np.random.Generator
) -> Waveform:
    """Filter as a cheap microphone does: a random gain in each of six bands.

    Args:
        waveform: (N,) samples.
        gains_db: lowest and highest gain.
        rate: samples per second.
        rng: draws the gains.
    """
    from scipy import fft

    samples = fft.next_fast_len(len(waveform), real=True)
    hertz = np.maximum(fft.rfftfreq(samples, 1 / rate), _BANDS[0])
    drawn = rng.uniform(gains_db[0], gains_db[1], len(_BANDS))
    gains = 10 ** (np.interp(np.log(hertz), np.log(_BANDS), drawn) / 20)
    spectrum = fft.rfft(waveform, n=samples) * gains.astype(np.float32)
    return fft.irfft(spectrum, n=samples)[: len(waveform)].astype(np.float32)


def overdrive(waveform: Waveform, gain_db: float) -> Waveform:
    """Clip as an input that is driven too far: the peak would be ``gain_db`` above full scale.

    >>> overdrive(np.array([0.1, -0.05], np.float32), 6.0).astype(float).round(3).tolist()
    [1.0, -0.998]
    """
    peak = float(np.abs(waveform).max()) or 1.0
    return np.clip(waveform * np.float32(10 ** (gain_db / 20) / peak), -1.0, 1.0)


def band_limit(waveform: Waveform, edges: float | tuple[float, float], rate: int) -> Waveform:
    """Keep what lies below one frequency, or between two, in hertz (Butterworth, 8th order)."""
    from scipy import signal

    kind = "bandpass" if isinstance(edges, tuple) else "lowpass"
    order = 4 if kind == "bandpass" else 8
    sections = signal.butter(order, edges, kind, fs=rate, output="sos")
    return signal.sosfilt(sections, waveform).astype(np.float32)


def at_lower_rate(waveform: Waveform, low: int, rate: int, clean: bool) -> Waveform:
    """Sample at a lower rate and come back.

    Args:
        waveform: (N,) samples.
        low: the lower rate.
        rate: that of the waveform.
        clean: with a good filter; else with hardly any, so that what lies above half of the lower
            rate is folded below it, as in the sound files of old games.
    """
    import soxr

    lower = soxr.resample(waveform, rate, low, quality="HQ" if clean else "QQ")
    return fitted(soxr.resample(lower, low, rate), len(waveform))


def quantize(waveform: Waveform) -> Waveform:
    """Round to the 256 levels of mu-law coding, as telephones do."""
    mu = 255.0
    clipped = np.clip(waveform, -1.0, 1.0)
    levels = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / np.log1p(mu)
    levels = np.round(levels * 127.5) / 127.5
    return (np.sign(levels) * np.expm1(np.abs(levels) * np.log1p(mu)) / mu).astype(np.float32)


def quantize_linear(waveform: Waveform, bits: int) -> Waveform:
    """Round to ``2^bits`` equal steps, as old sound files of 8 bit do.

    >>> quantize_linear(np.array([0.3, -0.9], np.float32), 2).tolist()
    [0.5, -1.0]
    """
    steps = np.float32(2 ** (bits - 1))
    return np.clip(np.round(waveform * steps) / steps, -1.0, 1.0 - 1.0 / steps)
