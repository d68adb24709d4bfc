"""One's own corpus of long recordings with ``segments`` and marks: the recipe, and training alone.

``tools/nightly.sh`` runs it; test/data/test_segments.py and test_marks.py have what is short.
"""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import pytest
import yaml
from tiny_llm import build_tiny_llm
from tiny_recipe import SETS, TinyRecipe
from tiny_training import CONFIG, checkpoint, same

from espnet_otreg.data.kaldi_dir import read_table, write_table


def join(directory: Path, output: Path) -> None:
    """Write the utterances of a data directory as parts of one recording."""
    output.mkdir(parents=True)
    content, segments, frames = b"", {}, 0
    for key, path in read_table(directory / "wav.scp").items():
        with wave.open(path) as file:
            count, samples = file.getnframes(), file.readframes(file.getnframes())
        segments[key] = f"call {frames / 16000:.6f} {(frames + count) / 16000:.6f}"
        content, frames = content + samples, frames + count
    with wave.open(str(output / "call.wav"), "wb") as file:
        file.setparams((1, 2, 16000, frames, "NONE", ""))
        file.writeframes(content)
    write_table(output / "wav.scp", {"call": str(output / "call.wav")})
    write_table(output / "segments", segments)
    for name in ("text", "utt2lang", "utt2domain"):
        (output / name).write_bytes((directory / name).read_bytes())


@pytest.fixture
def recipe(tiny_whisper: Path, tmp_path: Path) -> TinyRecipe:
    recipe = TinyRecipe(tmp_path / "slm1", tiny_whisper, build_tiny_llm(tmp_path / "llm"))
    corpus = recipe.directory / "corpus"
    for name in SETS:
        (corpus / name).rename(corpus / f"{name}_cut")
        # The paths in the tables are those of before.
        table = read_table(corpus / f"{name}_cut/wav.scp")
        moved = {key: path.replace(f"/{name}/", f"/{name}_cut/") for key, path in table.items()}
        write_table(corpus / f"{name}_cut/wav.scp", moved)
        join(corpus / f"{name}_cut", corpus / name)
    return recipe


@pytest.mark.timeout(1200)
def test_stage_2_cuts_and_asks(recipe: TinyRecipe, tmp_path: Path) -> None:
    corpus = recipe.directory / "corpus"
    path = corpus / "train/text"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([f"{first} [door] <unk>", *rest]) + "\n")
    failed = recipe.run("--stop_stage", "format")
    assert failed.returncode == 1 and "unknown mark '[door]'" in failed.stderr
    (tmp_path / "marks").write_text("[door] remove\n")
    options = ("--stop_stage", "format", "--marks", str(tmp_path / "marks"))
    done = recipe.run(*options)
    assert done.returncode == 0, done.stderr
    for name in SETS:
        cut = read_table(recipe.directory / "dump/raw" / name / "wav.scp")
        originals = read_table(corpus / f"{name}_cut/wav.scp")
        assert cut.keys() == originals.keys()
        for key, original in originals.items():
            with wave.open(original) as one, wave.open(str(recipe.directory / cut[key])) as other:
                assert one.readframes(10**7) == other.readframes(10**7)
    words = read_table(recipe.directory / "dump/raw/train/text")
    assert words[first.split()[0]] == " ".join(first.split()[1:])
    assert "stages 1-2 data, format: up to date" in recipe.run(*options).stdout
    (tmp_path / "marks").write_text("[door] drop\n")
    again = recipe.run(*options)
    assert "dump/raw/train: input" in again.stderr
    assert first.split()[0] not in read_table(recipe.directory / "dump/raw/train/text")
    segments = recipe.directory / "data/train/segments"
    segments.write_text("".join(segments.read_text().splitlines(keepends=True)[1:]))
    assert "segments" in recipe.run("--stage", "format", *options).stderr


@pytest.mark.timeout(1200)
def test_training_from_segments_is_training_from_the_cut_files(
    recipe: TinyRecipe, tiny_whisper: Path, tmp_path: Path
) -> None:
    corpus = recipe.directory / "corpus"
    config = {
        **CONFIG, "encoder": "hf_whisper", "encoder_conf": {"model": str(tiny_whisper)},
        "batch_type": "unsorted", "max_epoch": 2, "regularizers": [{"otreg": {"weight": 0.3}}],
        "compression_conf": {"method": "none"},
        "llm_conf": {**CONFIG["llm_conf"], "model": str(tmp_path / "llm")},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    for suffix, keys in (("_cut", "wav.scp"), ("", "segments")):
        command = [sys.executable, "-m", "espnet_otreg.bin.slm_train", "--seed", "3"]
        command += ["--config", str(tmp_path / "train.yaml")]
        command += ["--output_dir", str(tmp_path / f"exp{suffix}")]
        for kind, name in (("train", "train"), ("valid", "dev")):
            data = corpus / f"{name}{suffix}"
            for source in ("wav.scp,speech,sound", "text,text,text", "utt2lang,language,text"):
                command += [f"--{kind}_data_path_and_name_and_type", f"{data}/{source}"]
            command += [f"--{kind}_shape_file", f"{data}/{keys}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    assert same(checkpoint(tmp_path / "exp"), checkpoint(tmp_path / "exp_cut"))
