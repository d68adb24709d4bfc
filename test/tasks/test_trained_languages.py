"""Training, decoding and scoring do not depend on how languages are named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import TinyTraining, same

from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.run import decode_sets
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.trained_languages import read_trained_languages

NAMES = {"en": "EN", "es": "es-419", "fr": "fre", "it": "it_IT.UTF-8", "ru": "Russian"}
CONFIG = {
    "regularizers": [],
    "compression_conf": {"method": "none"},
    "num_iters_per_epoch": 2,
    "prompt_conf": {
        "templates": {"default": "{speech}", "en": "<en>{speech}", "ita": "{speech}<it>"}
    },
}


@pytest.fixture(scope="module")
def trainings(
    tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Plain codes, and other names of the same languages: directory with data and exp."""
    made = {}
    for kind in ("plain", "other"):
        root = tmp_path_factory.mktemp("languages") / kind
        for part in ("train", "valid"):
            shutil.copytree(tiny_training.root / part, root / part)
            table = root / part / "utt2lang"
            rows = [line.split() for line in table.read_text().splitlines()]
            names = {} if kind == "plain" else NAMES
            table.write_text("".join(f"{key} {names.get(name, name)}\n" for key, name in rows))
        run = replace(tiny_training, root=root).train(
            root / "exp", "--max_epoch", "1", config=CONFIG
        )
        assert run.returncode == 0, run.stderr[-2000:]
        assert (
            run.stdout.count(
                "the prompt 'default' is trained for Spanish (es), French (fr), Russian (ru)\n"
            )
            == 1
        )
        made[kind] = root
    return made


def test_other_names_train_the_same_model(trainings: dict[str, Path]) -> None:
    plain, other = (torch.load(root / "exp/1epoch.pth") for root in trainings.values())
    assert same(plain, other)
    records = [read_json(root / "exp/languages.json") for root in trainings.values()]
    assert records[0] == records[1] == {
        "utterances": {"en": 8, "es": 6, "fr": 6, "it": 6, "ru": 6}, "without_language": 0,
    }  # fmt: skip


def test_other_names_are_decoded_and_scored_the_same(trainings: dict[str, Path]) -> None:
    scores, texts = [], []
    for root in trainings.values():
        sets, modes = [str(root / "valid")], configure_modes(["llm"])
        decode_sets(str(root / "exp"), sets, modes, str(root / "out"))
        texts.append((root / "out/llm/valid/text").read_text(encoding="utf-8"))
        scores.append(score_directory(root / "valid", root / "out/llm/valid/text"))
    assert texts[0] == texts[1] and scores[0] == scores[1]
    assert [one.language for one in scores[0].sets] == ["en", "es", "fr", "it", "ru"]


def test_the_prompt_of_a_language_is_the_one_that_was_trained(trainings: dict[str, Path]) -> None:
    prompt = load_model(trainings["other"] / "exp").prompt
    assert prompt.around("IT") == prompt.around("ita") != prompt.around("fr")
    assert prompt.around("fr") == prompt.around("Russian")
    with pytest.raises(UserError, match=r"not trained for German \(de\); it knows English \(en\)"):
        prompt.around("de")
    assert read_trained_languages(trainings["plain"] / "exp") == prompt.trained


def test_a_training_without_languages_trains_the_default_prompt_for_all(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    command = tiny_training.command(tmp_path / "exp", "--max_epoch", "1", config=CONFIG)[3:]
    named = [n for n, word in enumerate(command) if word.endswith("utt2lang,language,text")]
    for n in reversed(named):
        del command[n - 1 : n + 1]
    run = tiny_training.server("slm_train", *command)
    assert run.status == 0, run.stderr[-2000:]
    assert "only the prompt 'default' is trained, not that for English (en), Italian" in run.stdout
    trained = read_trained_languages(tmp_path / "exp")
    assert trained.any_language and not trained.languages and trained.prompt_of("it") == "default"
