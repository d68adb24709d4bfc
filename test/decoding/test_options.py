"""Numbers of decoding that are none, out of range or without effect."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from espnet_otreg.bin import slm_decode
from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import JointWeights, tune
from espnet_otreg.decoding.options import (
    MODES,
    RANGES,
    WEIGHT_RANGES,
    DecodingOptions,
    check_modes,
    without_effect,
)
from espnet_otreg.errors import ConfigErrors, UserError

NO_NUMBERS: tuple[Any, ...] = (
    None,
    "",
    "4",
    [],
    True,
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    10**30,
    10**400,
)


@pytest.mark.parametrize("name", RANGES)
def test_settings_of_decoding(name: str) -> None:
    outside = (-1, 0.5) if RANGES[name].whole else (-0.1,)
    for value in (*NO_NUMBERS, *outside):
        with pytest.raises(ConfigErrors, match=rf"\(1\) {name}: expected a .*number from .* to "):
            DecodingOptions(**{name: value})
    for value in (RANGES[name].low, RANGES[name].high):
        assert getattr(DecodingOptions(**{name: value}), name) == value


@pytest.mark.parametrize("name", WEIGHT_RANGES)
def test_weights_of_joint_decoding(name: str) -> None:
    for value in (*NO_NUMBERS, -1001.0):
        with pytest.raises(ConfigErrors, match=rf"\(1\) {name}: expected a number from .* to "):
            JointWeights(**{name: value})
    assert {f.name for f in dataclasses.fields(JointWeights)} == set(WEIGHT_RANGES)
    with pytest.raises(ConfigErrors, match="weight: expected a number from 0 to 1, found 7"):
        JointWeights(7)


def end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What the command says last when it cannot start."""
    given = ["slm_decode", "--model_dir", "no", "--data_dir", "no", "--output_dir", "no", *words]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises((UserError, SystemExit)) as ended:
        slm_decode.main()
    said = capsys.readouterr().err.strip().splitlines()
    return str(ended.value) if isinstance(ended.value, UserError) else said[-1]


@pytest.mark.parametrize("name", sorted(slm_decode.RANGES.keys() - {"weight"}))
def test_the_command_line_names_option_and_range(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"expected {slm_decode.RANGES[name]}, found"
    for value in ("nan", "inf", "-1e9", "five", "", "1" + "0" * 30):
        said = end(capsys, monkeypatch, f"--{name}={value}")
        assert name in said and expected in said


def test_the_command_line_names_all_of_them_together(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--tokens_per_second", "nan", "--joint_weight", "7", "--batch_size", "0")
    said = end(capsys, monkeypatch, *words)
    assert said.startswith("3 configuration errors: ") and "joint_weight: expected a number" in said


def test_modes() -> None:
    options = DecodingOptions()
    for modes in ([], (), "llm", ""):
        with pytest.raises(ConfigErrors, match="modes: expected a list of ctc, llm"):
            check_modes(modes, options)
    with pytest.raises(ConfigErrors, match="mode 'LLM': there is no such mode; did you mean 'llm'"):
        check_modes(["LLM"], options)
    with pytest.raises(ConfigErrors, match="2 configuration errors"):
        check_modes([None, ""], options)  # type: ignore[list-item]
    check_modes(["llm", "llm"], options)


@pytest.mark.parametrize(
    "name", sorted(RANGES.keys() | {"joint_weight", "length_bonus", "prior_weight"})
)
def test_an_option_that_no_mode_reads_is_named(name: str) -> None:
    assert without_effect({name: 1}, ["ctc"])[0].startswith(f"--{name} has no effect ")
    given = {name: 1, "num_samples": 2}
    assert without_effect(given, list(MODES)) == []


def test_notes_are_printed_and_do_not_stop(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["slm_decode", "--model_dir", "no", "--data_dir", "no", "--output_dir", "no"]
    monkeypatch.setattr("sys.argv", [*words, "--joint_weight", "0.3"])
    with pytest.raises(UserError, match="no such directory"):
        slm_decode.main()
    assert capsys.readouterr().err == "note: --joint_weight has no effect without mode joint\n"


def test_a_duration_that_is_none() -> None:
    for seconds in (math.nan, math.inf, -1.0):
        with pytest.raises(UserError, match="a duration of"):
            DecodingOptions().limits([1.0, seconds])


def test_a_development_set_without_a_word_chooses_no_weight() -> None:
    with pytest.raises(UserError, match="no reference of the development set has a word"):
        tune({"u": [Candidate("si", 1, -1.0, -1.0)]}, {"u": "..."}, {"u": "it"})
