"""Trainings in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_training import TinyTraining

from espnet_otreg.tasks.startup import without_type_checks
from espnet_otreg.tasks.train_config import check_train_arguments


@pytest.fixture
def train(tiny_training: TinyTraining, tmp_path: Path) -> Callable[..., Path]:
    """train(name, *options, config, speech): a training in this process; its directory.

    ``speech`` maps train and valid to tables of recordings, which take the place of features.
    """
    with without_type_checks():
        from espnet_otreg.tasks.slm import SLMTask

    def run(
        name: str,
        *options: str,
        config: dict[str, Any] | None = None,
        speech: dict[str, Path] | None = None,
    ) -> Path:
        words = tiny_training.command(tmp_path / name, *options, config=config)[3:]
        for kind, table in (speech or {}).items():
            features = f"{tiny_training.root / kind}/feats.scp,speech,kaldi_ark"
            words[words.index(features)] = f"{table},speech,sound"
        check_train_arguments(words)
        SLMTask.main(cmd=words)
        return tmp_path / name

    return run
