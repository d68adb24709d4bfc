"""Trainings in one process: an objective of another package, and what trainings share: nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pages import block_with
from tiny_training import TinyTraining, checkpoint

from espnet_otreg.errors import ConfigErrors
from espnet_otreg.tasks.train_config import check_train_arguments

# A whole package: preference optimisation (DPO, Rafailov et al. 2023) in one file.
MODULE = block_with("extending.md", "python", "PreferenceConfig(ObjectiveConfig)")

Train = Callable[..., Path]


@pytest.fixture
def preference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package is installed."""
    site = tmp_path / "site"
    about = site / "preference-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "preference_objective.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: preference\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[espnet_otreg.objectives]\npreference = preference_objective:PreferenceConfig\n"
    )
    from espnet_otreg.objectives.registry import OBJECTIVES

    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(OBJECTIVES, "_registered", dict(OBJECTIVES._registered))


def loss(directory: Path, epoch: int) -> float:
    return float(checkpoint(directory)["reporter"]["stats"][epoch]["train"]["loss"])


def test_an_objective_of_another_package_trains_with_its_reference(
    train: Train, tiny_training: TinyTraining, preference: None, tmp_path: Path
) -> None:
    data = []
    for kind in ("train", "valid"):  # rejected: what is said in the utterance before
        rows = (tiny_training.root / kind / "text").read_text().splitlines()
        keys, texts = zip(*(row.split(maxsplit=1) for row in rows), strict=True)
        table = tmp_path / f"{kind}_rejected"
        pairs = zip(keys, texts[-1:] + texts[:-1], strict=True)
        table.write_text("".join(f"{key} {text}\n" for key, text in pairs))
        data += [f"--{kind}_data_path_and_name_and_type", f"{table},rejected,text"]
    config = {
        **yaml.safe_load(block_with("extending.md", "yaml", "preference")),
        "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4, "dropout": 0.0},
        "llm_conf": {"adapter": "lora", "lora_rank": 2, "lora_dropout": 0.0},
        "regularizers": [],
        "num_iters_per_epoch": 1,
    }
    with pytest.raises(ConfigErrors, match="train_.*: no data named 'rejected'; .*valid_.*reject"):
        train("preferred", "--max_epoch", "1", config=config)
    directory = train("preferred", *data, "--max_epoch", "1", config=config)
    assert loss(directory, 1) == pytest.approx(math.log(2), abs=1e-5)  # policy = reference
    # Taken up again, the reference is still the model of the start.
    assert train("preferred", *data, "--max_epoch", "2", config=config) == directory
    assert abs(loss(directory, 2) - math.log(2)) > 1e-3
    stats = checkpoint(directory)["reporter"]["stats"]
    assert stats[2]["train"]["step"] == 1 and "ce" not in stats[2]["valid"]
    keys = checkpoint(directory)["model"].keys()
    assert all(key.startswith(("projector.", "readout.")) or "lora_" in key for key in keys)


def test_mistakes_of_an_objective_are_found_before_anything_loads(preference: None) -> None:
    for item, sentence in (
        ("{preference: {beta: 0}}", "objective.preference.beta: expected a positive number"),
        ("{preference: {betta: 1}}", "objective.preference.betta: unknown key; did you mean"),
        ("preferences", "objective: unknown name 'preferences'; did you mean 'preference'?"),
        ("[supervised]", r"objective: expected a name or one 'name: \{key: value\}', found \['su"),
    ):
        with pytest.raises(ConfigErrors, match=f"1 configuration error: .*{sentence}"):
            arguments = ["--objective", item, "--llm_conf", "model=org/name"]
            check_train_arguments(arguments, data=False)
    with pytest.raises(ConfigErrors, match="objectiv: unknown option; did you mean 'objective'"):
        check_train_arguments(["--objectiv", "supervised", "--llm_conf", "model=a/b"], data=False)


def test_two_trainings_do_not_see_each_other(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    from espnet_otreg.tasks.slm import SLMTask
    from espnet_otreg.tasks.trainer import SLMTrainer

    before = [dict(vars(cls)) for cls in (SLMTask, SLMTrainer)]
    config = {"num_iters_per_epoch": 1}
    short = train("short", "--max_epoch", "1", config=config)
    train("long", "--max_epoch", "2", "--sanity", "true", config=config)
    assert capfd.readouterr().out.count("sanity: loss on ten utterances") == 1
    (short / "finished.json").unlink()
    train("short", "--max_epoch", "1", config=config)  # is whole already: no epoch is left
    assert json.loads((short / "finished.json").read_text())["epochs"] == 1
    assert [dict(vars(cls)) for cls in (SLMTask, SLMTrainer)] == before
