"""Numbers of decoding that are none, out of range or without effect."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from espnet_otreg.bin import slm_decode
from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import WEIGHT_RANGES, JointWeights, tune
from espnet_otreg.decoding.limits import token_limits
from espnet_otreg.decoding.modes import (
    configure_modes,
    known_modes,
    mode_options,
    without_effect,
)
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.ranges import WORK_RANGES

RANGES = {name: o.allowed for name, o in mode_options().items() if o.allowed is not None}
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
def test_options_of_modes(name: str) -> None:
    allowed = RANGES[name]
    reader = next(mode for mode, cls in known_modes().items() if name in cls.options())
    needed: dict[str, Any] = {"ngram": "exp/ngram"}
    needed |= {} if name == "num_samples" else {"num_samples": 1}
    outside = [allowed.low - 1, *([0.5] if allowed.whole else [])]
    for value in (*NO_NUMBERS, *outside):
        with pytest.raises(ConfigErrors, match=rf"\(1\) {name}: expected a .*number from .* to "):
            configure_modes(["llm"], {name: value})  # whether the mode reads it or not
    for value in (allowed.low, allowed.high):
        if (reader, value) != ("sample", 0):
            mode = configure_modes([reader], {**needed, name: value})[reader]
            assert getattr(mode, name) == value
    wrong = dataclasses.replace(mode, **{name: math.nan})  # made by hand
    assert [message.split(":")[0] for message in wrong.validate()] == [name]


def test_modes_that_share_an_option_mean_the_same_and_give_one_default() -> None:
    parser = slm_decode.get_parser()
    for cls in known_modes().values():
        for name, about in cls.options().items():
            assert about == mode_options()[name]
            assert parser.get_default(name) == about.default == getattr(cls, name)


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


@pytest.mark.parametrize("name", sorted(RANGES.keys() | WORK_RANGES.keys()))
def test_the_command_line_names_option_and_range(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"expected {(RANGES | WORK_RANGES)[name]}, found"
    for value in ("nan", "inf", "-1e9", "five", "", "1" + "0" * 30):
        said = end(capsys, monkeypatch, f"--{name}={value}")
        assert name in said and expected in said


def test_the_command_line_names_all_of_them_together(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--tokens_per_second", "nan", "--joint_weight", "7", "--batch_size", "0")
    said = end(capsys, monkeypatch, *words, "--modes", "llm", "lmm", "sample")
    assert said.startswith("5 configuration errors: ") and "joint_weight: expected a number" in said
    assert "did you mean 'llm'" in said and "needs --num_samples" in said


def test_modes() -> None:
    for modes in ([], (), "llm", ""):
        with pytest.raises(ConfigErrors, match="modes: expected a list of ctc, ctc_ngram, joint"):
            configure_modes(modes)
    with pytest.raises(ConfigErrors, match="mode 'LLM': there is no such mode; did you mean 'llm'"):
        configure_modes(["LLM"])
    with pytest.raises(ConfigErrors, match="2 configuration errors"):
        configure_modes([None, ""])  # type: ignore[list-item]
    assert list(configure_modes(["llm", "llm"])) == ["llm"]
    both = configure_modes(["llm_shuffled"], {"num_beams": 4})  # whose speech is shuffled
    assert list(both) == ["llm", "llm_shuffled"] and {m.num_beams for m in both.values()} == {4}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(mode_options()))
def test_an_option_that_no_mode_reads_is_named(name: str) -> None:
    [said] = without_effect({name: 1}, configure_modes(["ctc"]))
    assert said.startswith(f"--{name} has no effect ")
    everything = configure_modes(list(known_modes()), {"num_samples": 2, "ngram": "exp/ngram"})
    assert without_effect({name: 1}, everything) == []


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
            token_limits([1.0, seconds], 12, 10)


def test_a_development_set_without_a_word_chooses_no_weight() -> None:
    with pytest.raises(UserError, match="no reference of the development set has a word"):
        tune({"u": [Candidate("si", 1, -1.0, -1.0)]}, {"u": "..."}, {"u": "it"})
