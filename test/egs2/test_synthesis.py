"""A recipe that trains on its own recordings and on speech made from text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from bad_input import ForkServer
from tiny_llm import SENTENCES, build_tiny_llm
from tiny_recipe import EXPERIMENT, RUNS, TinyRecipe, write_preset

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.files import read_json

LANGUAGES = {
    language: {"sentences": 4, "readers": [{"engine": engine, "voices": [voice]}]}
    for language, engine, voice in (("en", "pico", "en-GB"), ("it", "espeak", "it"))
}


@pytest.fixture(scope="module")
def recipe(
    tmp_path_factory: pytest.TempPathFactory, tiny_whisper: Path, fork_server: ForkServer
) -> TinyRecipe:
    root = tmp_path_factory.mktemp("spoken")
    llm = build_tiny_llm(root / "llm")
    recipe = TinyRecipe(root / "slm1", tiny_whisper, llm, fork_server.bin)
    few = {"like": "pretrain", "title": "few", "speech": {"real_share": 0.5, "synthetic_hours": 0}}
    runs = {**RUNS, "few": few}
    runs["pretrain"] = {**RUNS["pretrain"], "set": {**RUNS["pretrain"]["set"], "max_epoch": 1}}
    preset = recipe.directory / "conf/tiny"
    changed = {**EXPERIMENT, "runs": runs, "pretrainings": ["pretrain", "few"]}
    write_preset(preset, tiny_whisper, llm, **changed, synthesis="synthesis.yaml")
    (preset / "synthesis.yaml").write_text(yaml.safe_dump({"languages": LANGUAGES}))
    text = recipe.directory / "text"
    text.mkdir()
    for language in LANGUAGES:
        # The letters of the tiny LLM's own sentences, in another order.
        sentences = [" ".join(reversed(one.split())) for one in SENTENCES[language]]
        lines = [f"{one} {other}." for one in sentences for other in sentences]
        (text / f"{language}.txt").write_text("\n".join(lines))
    return recipe


@pytest.mark.timeout(600)
def test_recordings_and_speech_from_text_train_together(recipe: TinyRecipe) -> None:
    options = ("--text_corpus", str(recipe.directory / "text"))
    done = recipe.run(*options, "--stop_stage", "pretrain")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    raw, features = recipe.directory / "dump/raw", recipe.directory / "dump/features/tiny-whisper"
    spoken, recorded = read_table(raw / "synthetic/text"), read_table(raw / "train/text")
    assert len(spoken) == 8 and {key.split("_")[0] for key in spoken} == {"pico", "espeak"}
    training = features / "train_and_synthetic"
    assert read_table(training / "text") == spoken | recorded
    assert read_json(training / "feats.json")["dim"] == 32
    exp = recipe.directory / "exp/tiny"
    shapes = {
        name: read_table(exp / name / "speech_shape").keys()
        for name in ("stats/train", "shapes/few")
    }
    assert shapes["stats/train"] == (spoken | recorded).keys()
    assert 0 < len(shapes["shapes/few"]) < len(recorded)
    assert shapes["shapes/few"] < recorded.keys()
    for name, shape in (("pretrain_s1", "stats/train"), ("few_s1", "shapes/few")):
        config = yaml.safe_load((exp / name / "config.yaml").read_text())
        assert config["train_shape_file"][0] == f"exp/tiny/{shape}/speech_shape"
    again = recipe.run(*options, "--stop_stage", "pretrain")
    assert "stages 1-8 data, format, synthesis, " in again.stdout and "up to date" in again.stdout


def test_speech_from_text_needs_a_text_and_right_settings(recipe: TinyRecipe) -> None:
    done = recipe.run("--dry_run")
    assert done.returncode == 0 and "espnet_otreg.bin.synthesize" not in done.stdout
    assert "note: no text is here, so no speech is made of it (--text_corpus DIR)" in done.stdout
    named = ("--synthesis", str(recipe.directory / "conf/tiny/synthesis.yaml"))
    done = recipe.run("--dry_run", *named)
    assert done.returncode == 1
    assert "there is no text to read aloud; give --text_corpus DIR with LANGUAGE.txt" in done.stderr
    wrong = recipe.directory / "wrong.yaml"
    readers = [{"engine": "mbrola", "voices": ["en1"]}, {"engine": "pico", "voices": ["en-UK"]}]
    wrong.write_text(yaml.safe_dump({"languages": {"en": {"hours": 1, "readers": readers}}}))
    done = recipe.run("--dry_run", "--synthesis", str(wrong), "--num_splits", "2")
    assert done.returncode == 1 and "3 configuration errors" in done.stderr
    assert "wrong.yaml: languages.en.readers.0.engine: the terms of mbrola's" in done.stderr
    assert "wrong.yaml: languages.en.readers.1.voices: no voice 'en-UK' of pico" in done.stderr
    assert "runs.few.speech: parts of the training speech cannot be chosen" in done.stderr
