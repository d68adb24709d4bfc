"""What one epoch tells of its progress."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from espnet2.train.reporter import Reporter

from espnet_otreg.progress import last_progress
from espnet_otreg.tasks.epoch import StoppableEpoch
from espnet_otreg.tasks.interruption import StopRequest


@pytest.mark.parametrize(("known", "shown"), [(True, (6, 12)), (False, (2, 4))])
def test_progress_in_epochs_if_nobody_knows_their_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], known: bool, shown: tuple[int, int]
) -> None:
    """A training set in parts is read by a generator, which has no length."""
    reporter = Reporter()
    reporter.set_epoch(2)
    model = torch.nn.Linear(1, 1)
    epoch = StoppableEpoch(
        StopRequest(), tmp_path, model, (), reporter.start_epoch("train"), 1, 4, "again"
    )
    batches = range(3) if known else (number for number in range(3))
    assert list(epoch.training(batches)) == [0, 1, 2]
    line = last_progress(capsys.readouterr().err)
    assert line is not None and (line.done, line.total) == shown
