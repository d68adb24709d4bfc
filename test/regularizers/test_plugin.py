"""A package outside the repository brings a regularizer by entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

SETUP = """
from setuptools import setup
setup(
    name="length-penalty",
    version="1.0",
    py_modules=["length_penalty"],
    entry_points={"espnet_otreg.regularizers": [
        "length_penalty = length_penalty:LengthPenaltyConfig",
        "broken = length_penalty:Missing",
    ]},
)
"""

MODULE = '''
"""Keeps speech embeddings near a wanted length."""
from dataclasses import dataclass

from espnet_otreg.regularizers import RegularizerConfig, RegularizerOutput


@dataclass(frozen=True)
class LengthPenaltyConfig(RegularizerConfig):
    length: float = 1.0

    def build(self):
        import torch

        def penalty(batch):
            gap = torch.linalg.vector_norm(batch.speech, dim=-1) - self.length
            frames = batch.speech_mask.sum(1).clamp(min=1)
            value = (torch.where(batch.speech_mask, gap.square(), 0).sum(1) / frames).mean()
            return RegularizerOutput(value)

        return penalty
'''

PROGRAM = """
import json, sys, yaml
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.regularizers import parse_regularizers
from espnet_otreg.regularizers.combine import apply_regularizers
from espnet_otreg.regularizers.otreg_loss import example_batch
try:
    named = parse_regularizers(yaml.safe_load(open(sys.argv[1]))["regularizers"])
except ConfigErrors as error:
    sys.exit(str(error))
term, statistics = apply_regularizers(named, example_batch(), step=0)
print(json.dumps({"term": term.item(), **{k: v.item() for k, v in statistics.items()}}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory with the package installed from a wheel built here."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "setup.py").write_text(SETUP)
    (source / "length_penalty.py").write_text(MODULE)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    wheels = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(source), str(source)]
    subprocess.run(wheels, check=True)
    (wheel,) = source.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", *options[:3], "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True)
    return site


def run(site, directory, text):
    config = directory / "train.yaml"
    config.write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)])}
    command = [sys.executable, "-c", PROGRAM, str(config)]
    return subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, check=False
    )


def test_yaml_names_a_regularizer_of_another_package(site, tmp_path):
    text = """
    regularizers:
      - length_penalty: {weight: 0.5, length: 3}
      - otreg: {weight: 0}
    """
    result = run(site, tmp_path, text)
    assert result.returncode == 0, result.stderr
    statistics = json.loads(result.stdout)
    assert statistics["length_penalty"] == pytest.approx(4)  # unit vectors, (1 - 3)^2
    assert statistics["term"] == statistics["length_penalty_weighted"] == pytest.approx(2)
    assert "otreg_cost" in statistics


def test_its_mistakes_are_explained_like_our_own(site, tmp_path):
    text = """
    regularizers: [{length_penalty: {lenght: 3}}, broken, length_penaltie]
    """
    result = run(site, tmp_path, text)
    assert result.returncode == 1
    assert "lenght: unknown key; did you mean 'length'?" in result.stderr
    assert "broken: cannot be loaded from length_penalty:Missing: AttributeError" in result.stderr
    assert "unknown name 'length_penaltie'; did you mean 'length_penalty'?" in result.stderr


def test_without_the_package_the_name_is_unknown(tmp_path):
    result = run(tmp_path, tmp_path, "regularizers: [length_penalty]")
    assert result.returncode == 1 and "unknown name 'length_penalty'" in result.stderr
