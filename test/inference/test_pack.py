"""Packed, moved and loaded elsewhere, a model says the same; from Python and from the shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from tiny_slm import tiny_config, train_tiny_slm
from tiny_speech import build_tiny_speech_model

from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.run import decode_sets
from espnet_otreg.errors import UserError
from espnet_otreg.features.extraction import extract_features
from espnet_otreg.files import read_json, write_json
from espnet_otreg.inference.pack import pack_model
from espnet_otreg.inference.speech_lm import SpeechLM
from espnet_otreg.models_offline.directory import weights_sha256
from espnet_otreg.slm.build import build_model, load_model
from espnet_otreg.slm.checkpoint import load_checkpoint, save_checkpoint
from espnet_otreg.slm.config import parse_slm_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_slm(tmp_path_factory.mktemp("slm"))


def _hypotheses(model: Path, data: Path, output: Path) -> dict[str, dict[str, str]]:
    modes = ["ctc", "llm", "joint"]
    decode_sets(str(model), [str(data)], configure_modes(modes), str(output))
    return {mode: read_table(output / mode / data.name / "text") for mode in modes}


def _pack_and_move(model: Path, tmp_path: Path, *lost: Path) -> Path:
    """Pack, move, and hide what the packed directory must not need."""
    pack_model(model, tmp_path / "packed")
    moved = tmp_path / "elsewhere" / "model"
    moved.parent.mkdir()
    shutil.move(tmp_path / "packed", moved)
    for path in lost:
        path.rename(path.with_name(path.name + ".hidden"))
    return moved


def test_packed_moved_and_loaded_elsewhere_it_says_the_same(trained: Path, tmp_path: Path) -> None:
    features = trained.parent / "features"
    before = _hypotheses(trained, features, tmp_path / "before")
    assert any(before["ctc"].values())
    lost = (trained, trained.parent / "llm", trained.parent / "classes.json")
    moved = _pack_and_move(trained, tmp_path, *lost)
    try:
        assert _hypotheses(moved, features, tmp_path / "after") == before
        with pytest.raises(UserError, match="nobody knows which encoder made the features"):
            SpeechLM.from_pretrained(moved)
    finally:
        for path in lost:
            path.with_name(path.name + ".hidden").rename(path)


def test_a_packed_directory_tells_nothing_of_the_machine(trained: Path, tmp_path: Path) -> None:
    pack_model(trained, tmp_path / "packed")
    for path in sorted((tmp_path / "packed").rglob("*")):
        if path.suffix in (".yaml", ".json", ".md"):
            assert str(trained.parent) not in path.read_text(encoding="utf-8"), path
    state = torch.load(tmp_path / "packed/model.pth", weights_only=True)
    assert state.keys() == load_model(trained).state_dict().keys()
    card = (tmp_path / "packed/README.md").read_text(encoding="utf-8")
    assert "| llm | llm |" in card and "otreg-basic-v1" in card


def test_joint_weights_chosen_on_dev_travel_along(trained: Path, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"weight": 0.35, "length_bonus": 0.5, "prior_weight": 0.2}
    chosen["search"] = {"weight": 0.45, "length_bonus": 1.5, "prior_weight": 0.1}
    write_json(trained / "joint/dev/joint.json", chosen)
    pack_model(trained, tmp_path / "packed")
    (trained / "joint/dev/joint.json").unlink()
    assert read_json(tmp_path / "packed/decode.json") == {
        **chosen, "normalizer": "otreg-basic-v1", "tuned": True,
    }  # fmt: skip


def test_packing_again_replaces_a_packed_directory_and_nothing_else(
    trained: Path, tmp_path: Path
) -> None:
    pack_model(trained, tmp_path / "packed")
    pack_model(trained, tmp_path / "packed")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="something else is there"):
        pack_model(trained, tmp_path / "own")
    assert (tmp_path / "own/thesis.txt").read_text() == "precious"


def test_a_prompt_that_changed_is_noticed(trained: Path, tmp_path: Path) -> None:
    pack_model(trained, tmp_path / "packed")
    prompt = read_json(tmp_path / "packed/prompt.json")
    prompt["after"]["it"] = [8]
    write_json(tmp_path / "packed/prompt.json", prompt)
    with pytest.raises(UserError, match="other tokens of the prompt than when this was packed"):
        load_model(tmp_path / "packed")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("raw") / "test"
    directory.mkdir()
    noise = np.random.default_rng(0)
    for n, seconds in enumerate((0.5, 1.2)):
        samples = 0.1 * noise.standard_normal(round(seconds * 16000))
        soundfile.write(directory / f"{n}.wav", samples, 16000, subtype="PCM_16")
    write_table(directory / "wav.scp", {f"it_{n}": str(directory / f"{n}.wav") for n in range(2)})
    write_table(directory / "utt2lang", {"it_0": "it", "it_1": "it"})
    return directory


LICENCE = {"name": "CC-BY-4.0", "url": "https://example.org"}


def _pretrained(kind: str, tiny_whisper: Path, directory: Path) -> Path:
    """A speech model of a kind, with the record that tools/fetch_model.py leaves beside it."""
    if kind in ("precomputed", "hf_whisper", "hf_whisper_upper"):
        shutil.copytree(tiny_whisper, directory)
    else:
        build_tiny_speech_model(directory, kind)
    sha256 = weights_sha256(directory)
    write_json(directory / "model.json", {"weights_sha256": sha256, "licence": LICENCE})
    return directory


def _encoder_config(kind: str, model: Path, recordings: Path, root: Path) -> dict[str, Any]:
    """What the configuration says of the encoder."""
    if kind == "hf_whisper_upper":
        extract_features(str(recordings), str(root / "features/test"), str(model), layer=1)
        return {"encoder": kind, "encoder_conf": {"model": str(model), "first": 1}}
    if kind == "precomputed":
        data = root / "features/test"
        extract_features(data=str(recordings), output=str(data), model=str(model))
        sizes = {key: read_json(data / "feats.json")[key] for key in ("dim", "frame_seconds")}
        conf = {"input_size": sizes["dim"], "frame_seconds": sizes["frame_seconds"]}
        return {"encoder": kind, "encoder_conf": conf}
    if kind == "conformer":
        statistics = root / "statistics.npz"
        generator = np.random.default_rng(0)
        np.savez(
            statistics, count=10, sum=generator.normal(size=80),
            sum_square=10 + generator.random(80),
        )  # fmt: skip
        blocks = {"output_size": 16, "attention_heads": 2, "linear_units": 16, "num_blocks": 1}
        return {
            "encoder": kind, "encoder_conf": blocks, "frontend": "default",
            "normalize": "global_mvn", "normalize_conf": {"stats_file": str(statistics)},
        }  # fmt: skip
    own = "hf_whisper" if kind == "hf_whisper" else "hf_wav2vec2"
    return {"encoder": own, "encoder_conf": {"model": str(model), "trailing_silence": 0.1}}


@pytest.fixture
def on_encoder(
    request: pytest.FixtureRequest, trained: Path, recordings: Path, tiny_whisper: Path,
    tmp_path: Path,
) -> tuple[Path, Path, Path]:  # fmt: skip
    """Model, what it decodes, and what it is made of and must not need once it is packed."""
    kind, root = request.param, trained.parent
    needed = tmp_path / "models/tiny-encoder"
    if kind != "conformer":
        _pretrained(kind, tiny_whisper, needed)
    cached = kind in ("precomputed", "hf_whisper_upper")
    data = tmp_path / "features/test" if cached else recordings
    config = tiny_config(root / "llm", root / "classes.json", data)
    config |= _encoder_config(kind, needed, recordings, tmp_path)
    if kind == "conformer":
        needed = Path(config["normalize_conf"]["stats_file"])
    torch.manual_seed(3)
    model = build_model(parse_slm_config(config))
    for parameter in model.encoder.parameters():
        if parameter.requires_grad:  # has learnt since it was pretrained
            parameter.data += 0.1 * torch.randn_like(parameter)
    exp = tmp_path / "exp"
    exp.mkdir()
    (exp / "config.yaml").write_text(yaml.safe_dump(config))
    save_checkpoint(exp / "latest.pth", model.state_dict())
    return exp, data, needed


KINDS = ["precomputed", "hf_whisper", "hf_whisper_upper", "wav2vec2", "wav2vec2-bert", "conformer"]


@pytest.mark.parametrize("on_encoder", KINDS, indirect=True)
def test_audio_is_transcribed_as_its_data_directory_is_decoded(
    on_encoder: tuple[Path, Path, Path], recordings: Path, tmp_path: Path
) -> None:
    exp, data, needed = on_encoder
    expected = _hypotheses(exp, data, tmp_path / "decode")
    paths = [recordings / "0.wav", recordings / "1.wav"]

    def check(speech_lm: SpeechLM) -> None:
        for mode, texts in expected.items():
            assert speech_lm.transcribe(paths, "it", mode) == [texts["it_0"], texts["it_1"]]
        samples, _ = soundfile.read(paths[0], dtype="float32")
        for name in ("it", "IT", "Italian", "it_IT.UTF-8"):
            assert speech_lm.transcribe(samples, name, "llm") == expected["llm"]["it_0"]
        with pytest.raises(UserError, match=r"not trained for German \(de\); it knows Italian"):
            speech_lm.transcribe(samples, "de", "llm")

    check(SpeechLM.from_pretrained(exp))
    sha256 = weights_sha256(needed) if needed.is_dir() else None
    moved = _pack_and_move(exp, tmp_path, exp, needed)
    check(SpeechLM.from_pretrained(moved))

    for path in sorted(moved.rglob("*")):  # nothing of it leads back
        if path.suffix in (".yaml", ".json", ".md"):
            assert str(tmp_path) not in path.read_text(encoding="utf-8"), path
    parts = {part["role"]: part for part in read_json(moved / "models.json").values()}
    if sha256 is None:
        assert parts.keys() == {"llm"}
        return
    assert parts["encoder"] == {
        "role": "encoder", "name": "tiny-encoder", "path": None, "sha256": sha256,
        "licence": "CC-BY-4.0", "origin": "a local model", "copied": True,
    }  # fmt: skip
    assert f"CC-BY-4.0 | `{sha256}`" in (moved / "README.md").read_text(encoding="utf-8")
    # What the encoder's model gives is not saved once more, what has been trained of it is.
    state = load_checkpoint(moved / "model.pth")
    upper = load_model(moved).config.encoder == "hf_whisper_upper"
    tuned = {"encoder.tuned", "encoder.norm"} if upper else set()
    saved = {".".join(name.split(".")[:2]) for name in state if name.startswith("encoder.")}
    assert saved == tuned


@pytest.mark.parametrize("on_encoder", ["precomputed"], indirect=True)
def test_a_large_encoder_is_referred_to_and_checked(
    on_encoder: tuple[Path, Path, Path], recordings: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    exp, _, whisper = on_encoder
    monkeypatch.setattr("espnet_otreg.inference.parts.SMALL", 0)
    with pytest.raises(UserError, match="no such model directory"):
        SpeechLM.from_pretrained(exp, encoder=str(tmp_path / "nothing"))
    pack_model(exp, tmp_path / "packed")
    assert not (tmp_path / "packed/models").exists()
    text = SpeechLM.from_pretrained(tmp_path / "packed").transcribe(recordings / "0.wav", "it")
    moved = whisper.with_name("moved")
    whisper.rename(moved)
    with pytest.raises(UserError, match="'tiny-encoder' is not here.*or pack with --copy_models"):
        SpeechLM.from_pretrained(tmp_path / "packed")
    whisper.mkdir()  # another model of the same name
    for path in moved.iterdir():
        shutil.copy(path, whisper)
    with open(whisper / "model.safetensors", "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\2\3\4")
    with pytest.raises(UserError, match="'tiny-encoder' has changed since"):
        SpeechLM.from_pretrained(tmp_path / "packed")
    (tmp_path / "packed/models").mkdir()
    moved.rename(tmp_path / "packed/models/tiny-encoder")
    assert SpeechLM.from_pretrained(tmp_path / "packed").transcribe(
        recordings / "0.wav", "it"
    ) == text  # fmt: skip


@pytest.mark.parametrize("on_encoder", ["precomputed"], indirect=True)
def test_the_command_prints_a_line_for_each_file(
    on_encoder: tuple[Path, Path, Path], recordings: Path, tmp_path: Path
) -> None:
    exp, _, _ = on_encoder
    stereo = tmp_path / "stereo.flac"  # another rate, two channels
    samples, _ = soundfile.read(recordings / "1.wav")
    soundfile.write(stereo, np.stack([samples, samples], axis=1), 44100)
    command = [sys.executable, "-m", "espnet_otreg.bin.slm_transcribe", "--model_dir", str(exp),
               "--language", "it", "--mode", "ctc"]  # fmt: skip
    done = subprocess.run(
        [*command, str(recordings / "0.wav"), str(stereo)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    expected = SpeechLM.from_pretrained(exp).transcribe(recordings / "0.wav", "it", "ctc")
    assert lines[0] == f"{recordings / '0.wav'}\t{expected}"
    assert lines[1].startswith(f"{stereo}\t")
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    failed = subprocess.run(
        [*command, str(tmp_path / "broken.wav")], capture_output=True, text=True
    )
    assert failed.returncode == 1 and failed.stdout == ""
    assert failed.stderr.count("\n") == 1 and "broken.wav" in failed.stderr
