"""Each augmentation does what its name says, and the same id always gets the same one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from espnet_otreg.errors import ConfigErrors
from espnet_otreg.features.augment import (
    AugmentConfig,
    augment,
    generator_for,
    read_augment_config,
)
from espnet_otreg.features.codecs import CODECS, through_codec
from espnet_otreg.features.distortions import (
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

RATE = 16000
RNG = np.random.default_rng(0)
MINI = Path(__file__).resolve().parents[2] / "egs2/mini_multi/slm1/conf/mini/augment.yaml"


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
    names = [name for name in vars(AugmentConfig()) if name.endswith("_probability")]
    for codec in CODECS:
        config = AugmentConfig(**dict.fromkeys(names, 1.0), codecs=(codec,))
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
    assert len(AugmentConfig(codecs=("mp4",), rate_hertz=(8000, 22050)).validate()) == 2
    assert AugmentConfig().validate() == []


def test_the_file_of_the_recipe_and_one_with_mistakes(tmp_path: Path) -> None:
    config = read_augment_config(MINI)
    assert config.codec_probability > 0 and read_augment_config(None) == AugmentConfig()
    path = tmp_path / "augment.yaml"
    path.write_text("noise_probability: 3\nspeedpercent: [80, 120]\n")
    with pytest.raises(
        ConfigErrors, match="speedpercent: unknown key; did you mean 'speed_percent'"
    ):
        read_augment_config(path)


def level_at(waveform: np.ndarray, hertz: float) -> float:
    """Decibels of what lies within 20 Hz of a frequency."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
    frequencies = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return float(10 * np.log10(spectrum[abs(frequencies - hertz) < 20].sum() + 1e-20))


def test_hum_and_babble_have_the_ratio_asked_for() -> None:
    clean = tone(1000, 2.0)
    hum = add_hum(clean, 15.0, 50.0, RATE, RNG) - clean
    assert power_db(clean) - power_db(hum) == pytest.approx(15, abs=0.1)
    assert level_at(hum, 50) > level_at(hum, 75) + 30 and level_at(hum, 100) > -60
    babble = add_babble(clean, 12.0, RNG) - clean
    assert power_db(clean) - power_db(babble) == pytest.approx(12, abs=0.1)
    assert 750 < peak_hertz(babble) < 1300  # the utterance's own sound, at other speeds


def test_an_equaliser_keeps_what_it_is_told_to_keep() -> None:
    clean = tone(700)
    assert np.allclose(equalise(clean, (0.0, 0.0), RATE, RNG), clean, atol=1e-5)
    assert np.allclose(equalise(clean, (-6.0, -6.0), RATE, RNG), clean * 10**-0.3, atol=1e-5)
    both = tone(200) + tone(3500)
    changed = equalise(both, (-12.0, 12.0), RATE, RNG)
    before, after = (level_at(w, 200) - level_at(w, 3500) for w in (both, changed))
    assert abs(before) < 0.1 and abs(after) > 1


def test_an_overdriven_input_is_flat_at_full_scale() -> None:
    driven = overdrive(tone(440), 6.0)
    assert np.abs(driven).max() == 1.0
    # A sine of twice the height spends two thirds of its time above the limit.
    assert np.mean(np.abs(driven) == 1.0) == pytest.approx(2 / 3, abs=0.01)


def test_a_lower_rate_folds_what_a_good_filter_removes() -> None:
    high = tone(7000)  # comes back at 8000 - 7000 Hz from a rate of 8 kHz
    folded, filtered = (at_lower_rate(high, 8000, RATE, clean) for clean in (False, True))
    assert level_at(folded, 1000) > level_at(filtered, 1000) + 20
    assert len(folded) == len(filtered) == len(high)
    low = at_lower_rate(tone(500), 8000, RATE, True)
    assert power_db(low - tone(500)) < -40


def test_eight_bits_are_256_levels() -> None:
    coarse = quantize_linear(tone(440), 8)
    assert len(np.unique(coarse)) <= 256 and np.abs(coarse - tone(440)).max() <= 1 / 256
    assert power_db(coarse - tone(440)) == pytest.approx(-10 * np.log10(12 * 128**2), abs=1)


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_keeps_the_tone_and_not_the_samples(codec: str) -> None:
    clean = tone(1000, 2.0)
    coded = through_codec(clean, RATE, codec, 0.9, RNG)
    assert len(coded) == len(clean) and not np.array_equal(coded, clean)
    assert peak_hertz(coded) == pytest.approx(1000, abs=2)
    again = [through_codec(clean, RATE, codec, 0.9, np.random.default_rng(1)) for _ in "ab"]
    assert np.array_equal(*again)


def test_the_copies_of_the_recipe_cost_little() -> None:
    """A hundred times real time on one thread; what encodes them does fifty."""
    config = read_augment_config(MINI)
    clips = [tone(300, 2.0 + n / 7) for n in range(40)]
    augment(clips[0], RATE, config, RNG)  # imports
    start = time.process_time()
    for clip in clips:
        augment(clip, RATE, config, RNG)
    spent = time.process_time() - start
    assert sum(map(len, clips)) / RATE > 100 * spent
