"""The part of the training speech that a run sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from espnet_otreg.config import parse_config
from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.data.speech_share import SpeechShare, select_speech, write_shapes

DOMAINS = {f"{copy}it_{n}": "told" for n in range(400) for copy in ("", "aug1_")}
DOMAINS |= {f"aug1_pico_{n}": "synthetic_pico" for n in range(600)}
DOMAINS |= {f"{copy}flite_{n}": "synthetic_flite" for n in range(600) for copy in ("", "aug1_")}
SECONDS = {key: 2.0 + int(key[-1]) % 3 for key in DOMAINS}


def test_smaller_parts_are_inside_of_larger_ones() -> None:
    real = [select_speech(SpeechShare(share, 0.0), DOMAINS, SECONDS) for share in (0.1, 0.5, 1.0)]
    assert real[0] < real[1] < real[2] == {key for key, d in DOMAINS.items() if d == "told"}
    assert len(real[1]) / len(real[2]) == pytest.approx(0.5, abs=0.08)
    assert all((f"aug1_{key}" in real[0]) == (key in real[0]) for key in DOMAINS if key[:2] == "it")
    spoken = [
        select_speech(SpeechShare(0.0, hours), DOMAINS, SECONDS) for hours in (0.1, 0.4, None)
    ]
    assert spoken[0] < spoken[1] < spoken[2]
    # Of a text that is there twice, as it was spoken and through a bad line, one copy counts.
    counted = {key for key in spoken[1] if f"aug1_{key}" in spoken[1] or "pico" in key}
    assert sum(SECONDS[key] for key in counted) == pytest.approx(0.4 * 3600, abs=5)


def test_speech_of_some_engines_only() -> None:
    share = SpeechShare(real_share=0.0, synthetic_hours=0.1, engines=("pico",))
    chosen = select_speech(share, DOMAINS, SECONDS)
    assert {DOMAINS[key] for key in chosen} == {"synthetic_pico"}
    assert sum(SECONDS[key] for key in chosen) == pytest.approx(360, abs=5)


def test_shape_files_keep_what_is_seen(tmp_path: Path) -> None:
    write_table(tmp_path / "utt2domain", DOMAINS)
    write_table(tmp_path / "utt2dur", {key: str(value) for key, value in SECONDS.items()})
    write_table(tmp_path / "stats/speech_shape", dict.fromkeys(DOMAINS, "100,32"))
    share = SpeechShare(real_share=0.25, synthetic_hours=0.2)
    seen, all_of_them = write_shapes(
        share, tmp_path, [tmp_path / "stats/speech_shape"], tmp_path / "part"
    )
    kept = read_table(tmp_path / "part/speech_shape")
    assert kept == dict.fromkeys(sorted(select_speech(share, DOMAINS, SECONDS)), "100,32")
    assert (seen, all_of_them) == (len(kept), len(DOMAINS))


def test_impossible_parts_are_named() -> None:
    errors: list[str] = []
    values = {"real_share": 1.5, "synthetic_hours": -1.0, "engines": ["picco"]}
    assert parse_config(SpeechShare, values, "runs.a.speech", errors) is None
    assert errors == [
        "runs.a.speech.synthetic_hours: must not be negative, found -1.0",
        "runs.a.speech.real_share: must be from 0 to 1, found 1.5",
        "runs.a.speech.engines: no engine 'picco'; did you mean 'pico'?",
    ]
    nothing = {"real_share": 0.0, "synthetic_hours": 0.0}
    assert parse_config(SpeechShare, nothing, "speech", errors) is None
    assert errors[-1] == "speech.real_share: no speech is left"
