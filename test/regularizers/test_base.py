"""Weights over the steps, and what importing the configurations costs."""

import subprocess
import sys

import pytest

from espnet_otreg.regularizers import CTCConfig, OTRegConfig, RegularizerConfig


def test_weight_before_during_and_after_the_warm_up():
    config = OTRegConfig(weight=0.3, start_step=10, warmup_steps=3)
    weights = [config.weight_at(step) for step in (0, 9, 10, 11, 12, 1000)]
    assert weights == pytest.approx([0, 0, 0.1, 0.2, 0.3, 0.3])


def test_without_warm_up_the_weight_is_full_at_once():
    assert CTCConfig(weight=0.5, start_step=4).weight_at(4) == 0.5


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_weights_that_make_no_sense(weight):
    assert "weight" in RegularizerConfig(weight=weight).validate()[0]


def test_a_configuration_must_say_how_to_build():
    with pytest.raises(TypeError, match="RegularizerConfig"):
        RegularizerConfig().build()


def test_checking_a_configuration_imports_no_torch():
    code = (
        "import sys; from espnet_otreg.regularizers import parse_regularizers;"
        "parse_regularizers([{'otreg': {'weight': 0.1}}, 'ctc']);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
