"""Which checkpoint is taken where none is named: the one that the experiment uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_experiment import plan_mini

from espnet_otreg.errors import UserError
from espnet_otreg.slm.build import checkpoint_file


def test_a_training_of_an_experiment_has_its_own_checkpoint(tmp_path: Path) -> None:
    experiment = plan_mini(tmp_path / "exp")
    training = experiment.training("otreg", 1)
    assert training.checkpoint != "latest.pth"
    training.directory.mkdir()
    # Without the experiment the averaged model would be the first choice.
    for name in ("valid.loss.ave.pth", "latest.pth", training.checkpoint):
        (training.directory / name).touch()
    assert checkpoint_file(training.directory).name == training.checkpoint
    assert checkpoint_file(training.directory, "latest.pth").name == "latest.pth"
    (training.directory / training.checkpoint).unlink()
    with pytest.raises(UserError, match="no such checkpoint"):  # and no other in its place
        checkpoint_file(training.directory)


def test_a_directory_that_no_experiment_knows_has_averaged_best_or_latest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint here"):
        checkpoint_file(tmp_path)
    for name in ("latest.pth", "valid.loss.best.pth", "valid.loss.ave_2best.pth", "model.pth"):
        (tmp_path / name).touch()
        assert checkpoint_file(tmp_path).name == name
