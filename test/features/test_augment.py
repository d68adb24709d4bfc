"""Each augmentation does what its name says, and the same id always gets the same one."""

from __future__ import annotations

import numpy as np
import pytest

from espnet_otreg.features.augment import (
    AugmentConfig,
    add_noise,
    add_reverberation,
    augment,
    band_limit,
    change_speed,
    generator_for,
    quantize,
)

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def peak_hertz(waveform: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(waveform))) * RATE / len(waveform))


def power_db(waveform: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(waveform.astype(np.float64) ** 2)))


def test_speed_moves_length_and_pitch_together() -> None:
    faster = change_speed(tone(1000), 110)
    assert len(faster) == pytest.approx(RATE / 1.1, abs=1)
    assert peak_hertz(faster) == pytest.approx(1100, abs=2)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
@pytest.mark.parametrize("colour", [0.0, 1.0, 2.0])
def test_noise_has_the_ratio_asked_for(snr_db: float, colour: float) -> None:
    clean = tone(440)
    noise = add_noise(clean, snr_db, colour, generator_for("a", 1, 0)) - clean
    assert power_db(clean) - power_db(noise) == pytest.approx(snr_db, abs=0.1)


def test_the_colour_of_noise_is_its_slope() -> None:
    clean = tone(440, 4.0)
    noise = add_noise(clean, 0.0, 2.0, generator_for("a", 1, 0)) - clean
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    octave = [spectrum[low : 2 * low].mean() for low in (500, 4000)]
    assert 10 * np.log10(octave[0] / octave[1]) == pytest.approx(18, abs=1.5)  # 3 octaves of 6 dB


def test_band_limits_keep_what_is_inside_only() -> None:
    inside, outside = tone(1000), tone(6000)
    assert power_db(band_limit(inside, 3000.0, RATE)) == pytest.approx(power_db(inside), abs=0.2)
    assert power_db(band_limit(outside, 3000.0, RATE)) < power_db(outside) - 35
    assert power_db(band_limit(tone(60), (300.0, 3400.0), RATE)) < power_db(inside) - 35


def test_reverberation_keeps_length_and_leaves_a_tail() -> None:
    click = np.zeros(RATE, np.float32)
    click[0] = 1.0
    response = add_reverberation(click, 0.3, RATE, generator_for("a", 1, 0))
    assert len(response) == len(click) and response[0] == pytest.approx(1.0)
    early, late = response[1 : RATE // 20], response[RATE // 5 : RATE // 4]
    assert power_db(early) > power_db(late) + 20 > -120


def test_quantisation_is_coarse_but_close() -> None:
    waveform = tone(440)
    coarse = quantize(waveform)
    assert len(np.unique(coarse)) <= 256
    assert power_db(coarse - waveform) < power_db(waveform) - 30


def test_the_same_id_copy_and_seed_give_the_same_waveform() -> None:
    config = AugmentConfig()
    variants = {
        key: augment(tone(440), RATE, config, generator_for(*key))
        for key in [("a", 1, 0), ("a", 2, 0), ("b", 1, 0), ("a", 1, 1)]
    }
    again = augment(tone(440), RATE, config, generator_for("a", 1, 0))
    assert np.array_equal(again, variants["a", 1, 0])
    assert len({variant.tobytes() for variant in variants.values()}) == 4
    for variant in variants.values():
        assert variant.dtype == np.float32 and np.abs(variant).max() <= 1.0


def test_silence_and_a_single_sample_survive_everything() -> None:
    config = AugmentConfig(
        **{f"{name}_probability": 1.0 for name in
           ("speed", "reverb", "noise", "telephone", "quantize", "gain")}
    )  # fmt: skip
    for waveform in (np.zeros(100, np.float32), np.ones(1, np.float32)):
        variant = augment(waveform, RATE, config, generator_for("a", 1, 0))
        assert len(variant) >= 1 and np.isfinite(variant).all()


def test_nothing_is_done_with_probability_zero() -> None:
    names = [name for name in vars(AugmentConfig()) if name.endswith("_probability")]
    config = AugmentConfig(**dict.fromkeys(names, 0.0))
    assert np.array_equal(augment(tone(440), RATE, config, generator_for("a", 1, 0)), tone(440))


def test_values_out_of_range_are_listed() -> None:
    config = AugmentConfig(noise_probability=2.0, speed_percent=(120, 80), lowpass_hertz=(1.0, 9e3))
    assert len(config.validate()) == 3
    assert AugmentConfig().validate() == []
