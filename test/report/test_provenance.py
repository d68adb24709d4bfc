"""The commits of pretrained models in the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from espnet_otreg.experiment import load_experiment
from espnet_otreg.files import write_json
from espnet_otreg.report.provenance import training_runs


def test_the_commits_of_encoder_and_llm_are_recorded(
    make_experiment: Callable[..., Path], tmp_path: Path
) -> None:
    directory = make_experiment(seeds=(1,))
    for name, commit in (("llm", "c" * 40), ("speech", "d" * 40)):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "model.json", {"revision": commit})
    (tmp_path / "train").mkdir()
    write_json(tmp_path / "train/feats.json", {"encoder": str(tmp_path / "speech")})
    path = directory / "sft_s1/config.yaml"
    values = yaml.safe_load(path.read_text()) | {
        "llm_conf": {"model": str(tmp_path / "llm")},
        "train_data_path_and_name_and_type": [
            [str(tmp_path / "train/feats.scp"), "speech", "kaldi_ark"]
        ],
    }
    path.write_text(yaml.safe_dump(values))
    runs = {run["arm"]: run for run in training_runs(load_experiment(directory))}
    sft, otreg = runs["SFT"], runs["OTReg"]
    assert (sft["llm"], sft["encoder"]) == (f"llm@{'c' * 40}", f"speech@{'d' * 40}")
    assert (otreg["llm"], otreg["encoder"]) == ("exp/mini/llm", "?")
