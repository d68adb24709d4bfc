"""Decoding whole sets: the files, interruptions, jobs, floors, audio instead of features."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from tiny_slm import tiny_config

from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.decoding.data import mismatched, read_data_set
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.modes import Joint, configure_modes
from espnet_otreg.decoding.run import decode_sets
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.config import parse_slm_config

MODES = ["ctc", "llm", "sample", "joint", "llm_shuffled", "llm_no_speech"]


def decode(
    model: Path, data: Path, output: Path, *modes: str, options: Any = None, **changes: Any
) -> None:
    settings = {"batch_size": 3, **changes}
    ways = configure_modes(modes or ["llm"], options)
    decode_sets(str(model), [str(data)], ways, str(output), **settings)


@pytest.fixture(scope="module")
def features(tiny_slm: Path) -> Path:
    return tiny_slm.parent / "features"


@pytest.fixture(scope="module")
def decoded(tiny_slm: Path, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("decode")
    decode(
        tiny_slm, features, output, *MODES,
        options={"num_samples": 2, "weights_dev": str(features)},
    )  # fmt: skip
    return output


def test_every_mode_gives_every_utterance_a_line_a_score_and_counts(
    decoded: Path, features: Path
) -> None:
    references = read_table(features / "text")
    for mode in MODES:
        directory = decoded / mode / "features"
        text, score = read_table(directory / "text"), read_table(directory / "score")
        assert list(text) == sorted(references) and text.keys() == score.keys()
        assert all(float(value) <= 0 for value in score.values())
        status = read_json(directory / "status.json")
        assert status["utterances"] == len(references) and status["mode"] == mode
        for count in ("empty", "loop", "over_long", "wrong_script", "limit_reached"):
            assert 0 <= status[count] <= len(references)
        assert status["empty"] == sum(not hypothesis for hypothesis in text.values())


def test_what_was_learnt_is_read_and_the_floors_are_not(decoded: Path, features: Path) -> None:
    references = read_table(features / "text")

    def right(mode: str) -> int:
        text = read_table(decoded / mode / "features" / "text")
        return sum(text[key] == references[key] for key in references)

    most = max(right("ctc"), right("llm"))
    assert most >= len(references) // 2
    assert right("joint") >= right("ctc")
    assert right("llm_shuffled") == 0 and right("llm_no_speech") <= 1


def test_the_shuffled_floor_is_the_speech_of_another_of_the_same_language(
    decoded: Path, features: Path
) -> None:
    data = read_data_set(features, precomputed=True)
    given = mismatched(data.utterances)
    llm = read_table(decoded / "llm/features/text")
    assert read_table(decoded / "llm_shuffled/features/text") == {
        key: llm[other] for key, other in given.items()
    }
    assert all(key != other and key[:2] == other[:2] for key, other in given.items())
    assert sorted(given.values()) == sorted(given)


def test_samples_and_joint_hypotheses_are_listed_best_first(decoded: Path) -> None:
    for mode in ("sample", "joint"):
        text = read_table(decoded / mode / "features/text")
        for key, several in read_json(decoded / mode / "features/nbest.json").items():
            scores = [row["score"] for row in several]
            assert scores == sorted(scores, reverse=True)
            assert several[0]["text"] == text[key]
    chosen = read_json(decoded / "joint/features/joint.json")
    status = read_json(decoded / "joint/features/status.json")
    assert status["joint_weights"]["weight"] == chosen["weight"]


def test_beams_are_listed_best_first_whatever_the_batch(
    tiny_slm: Path, features: Path, tmp_path: Path
) -> None:
    nbest = []
    for size in (1, 4):
        output = tmp_path / str(size)
        decode(tiny_slm, features, output, batch_size=size, options={"num_beams": 3})
        text, score = (read_table(output / "llm/features" / name) for name in ("text", "score"))
        nbest.append(read_json(output / "llm/features/nbest.json"))
        for key, several in nbest[-1].items():
            scores = [row["score"] for row in several]
            assert len(several) == 3 and scores == sorted(scores, reverse=True)
            assert several[0]["text"] == text[key]
            assert several[0]["score"] == pytest.approx(float(score[key]), abs=1e-5)
    for key, several in nbest[0].items():
        assert [row["text"] for row in several] == [row["text"] for row in nbest[1][key]]
        scores = [[row["score"] for row in rows[key]] for rows in nbest]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_batches_of_one_give_the_same_hypotheses(
    tiny_slm: Path, features: Path, decoded: Path, tmp_path: Path
) -> None:
    decode(tiny_slm, features, tmp_path, "ctc", "llm", "joint", batch_size=1,
           options={"weights_dev": str(features)})  # fmt: skip
    for mode in ("ctc", "llm"):
        alone, batch = (root / mode / "features" for root in (tmp_path, decoded))
        assert (alone / "text").read_text() == (batch / "text").read_text()
        for key, score in read_table(batch / "score").items():
            assert float(read_table(alone / "score")[key]) == pytest.approx(float(score), abs=1e-4)


def test_jobs_share_the_parts_and_the_last_call_puts_them_together(
    tiny_slm: Path, features: Path, decoded: Path, tmp_path: Path
) -> None:
    for job in (1, 2):
        decode(tiny_slm, features, tmp_path, "ctc", "llm", job=job, num_jobs=2)
        assert not (tmp_path / "llm/features/text").exists()
    made = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/features/logdir/*/part.json")}
    assert len(made) >= 4
    decode(tiny_slm, features, tmp_path, "ctc", "llm", num_jobs=2)
    assert made == {p: p.stat().st_mtime_ns for p in made}
    text = tmp_path / "llm/features/text"
    assert text.read_text() == (decoded / "llm/features/text").read_text()


def test_a_killed_run_goes_on_and_ends_with_the_same_files(
    tiny_slm: Path, features: Path, decoded: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable, "-m", "espnet_otreg.bin.slm_decode", "--model_dir", str(tiny_slm),
        "--data_dir", str(features), "--output_dir", str(tmp_path), "--modes", "ctc", "llm",
        "--batch_size", "1",
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 300
    while not (made := list(tmp_path.glob("*/features/logdir/*/part.json"))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "llm/features/text").exists()
    times = {path: path.stat().st_mtime_ns for path in made}
    decode(tiny_slm, features, tmp_path, "ctc", "llm", batch_size=1)
    assert times == {path: path.stat().st_mtime_ns for path in made}
    for mode in ("ctc", "llm"):
        again = (tmp_path / mode / "features/text").read_text()
        assert again == (decoded / mode / "features/text").read_text()


def test_another_option_that_the_mode_reads_makes_its_parts_again(
    tiny_slm: Path, features: Path, decoded: Path, tmp_path: Path
) -> None:
    shutil.copytree(decoded, tmp_path, dirs_exist_ok=True)

    def parts() -> dict[str, set[str]]:
        return {
            mode: {path.read_text() for path in (tmp_path / mode).rglob("part.json")}
            for mode in ("ctc", "llm", "joint")
        }

    before = parts()
    options = {"num_samples": 2, "extra_tokens": 1, "tokens_per_second": 1}
    decode(tiny_slm, features, tmp_path, "ctc", "llm", options=options)
    after = parts()
    assert after["ctc"] == before["ctc"]  # it has no length limit
    assert after["joint"] == before["joint"] and not after["llm"] & before["llm"]
    text = read_table(tmp_path / "llm/features/text")
    assert text != read_table(decoded / "llm/features/text")
    reached = read_json(tmp_path / "llm/features/status.json")["limit_reached"]
    assert len(text) // 2 < reached <= len(text)  # one or two tokens say hardly anything


def test_another_checkpoint_makes_the_parts_again(
    tiny_slm: Path, features: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_slm, tmp_path / "exp")
    state = torch.load(model / "valid.loss.best.pth", weights_only=True)
    torch.manual_seed(0)
    state["projector.gain"] = state["projector.gain"] * 0.2
    torch.save(state, model / "other.pth")
    texts = []
    for name in ("valid.loss.best.pth", "other.pth", "valid.loss.best.pth"):
        decode(model, features, tmp_path / "out", "llm", checkpoint=name)
        status = read_json(tmp_path / "out/llm/features/status.json")
        assert status["checkpoint"] == name
        texts.append(read_table(tmp_path / "out/llm/features/text"))
    assert texts[0] == texts[2] != texts[1]


def test_weights_of_joint_decoding_decode_nothing_again(
    tiny_slm: Path, features: Path, decoded: Path, tmp_path: Path
) -> None:
    shutil.copytree(decoded, tmp_path, dirs_exist_ok=True)
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part.json")}
    assert {path.parts[-3] for path in parts if "joint" in path.parts} == {"logdir", "tuning"}
    found = read_json(decoded / "joint/features/joint.json")["search"]
    search = Joint.as_options(JointWeights(), JointWeights(**found))
    scores = []
    for weight in (0.0, 1.0):
        options = {**search, "num_samples": 2, "joint_weight": weight}
        decode(tiny_slm, features, tmp_path, "joint", options=options)
        status = read_json(tmp_path / "joint/features/status.json")
        assert status["joint_weights"]["weight"] == weight
        scores.append(read_table(tmp_path / "joint/features/score"))
    assert scores[0] != scores[1]
    assert {path: path.stat().st_mtime_ns for path in parts} == parts


def test_a_model_that_reads_waveforms(tiny_slm: Path, tiny_whisper: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_slm.parent / "llm", tiny_slm.parent / "classes.json", tmp_path)
    config |= {"encoder": "hf_whisper", "encoder_conf": {"model": str(tiny_whisper)}}
    torch.manual_seed(0)
    model = build_model(parse_slm_config(config))
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/config.yaml").write_text(yaml.safe_dump(config))
    torch.save(model.state_dict(), tmp_path / "exp/model.pth")
    data = tmp_path / "test"
    data.mkdir()
    for n, seconds in enumerate((0.4, 1.1)):
        soundfile.write(data / f"{n}.wav", torch.randn(round(16000 * seconds)).numpy() / 9, 16000)
    write_table(data / "wav.scp", {f"it_x_{n}": str(data / f"{n}.wav") for n in range(2)})
    decode(tmp_path / "exp", data, tmp_path / "out", "ctc", "llm")
    assert list(read_table(tmp_path / "out/llm/test/text")) == ["it_x_0", "it_x_1"]
    assert "over_long" not in read_json(tmp_path / "out/llm/test/status.json")  # no references

    joined = tmp_path / "joined"  # the same utterances as parts of one recording
    joined.mkdir()
    parts = [soundfile.read(data / f"{n}.wav", dtype="int16")[0] for n in range(2)]
    soundfile.write(joined / "all.wav", np.concatenate(parts), 16000)
    write_table(joined / "wav.scp", {"all": str(joined / "all.wav")})
    write_table(joined / "segments", {"it_x_0": "all 0 0.4", "it_x_1": "all 0.4 -1"})
    decode(tmp_path / "exp", joined, tmp_path / "out", "ctc", "llm")
    for mode in ("ctc", "llm"):
        whole, cut = (tmp_path / "out" / mode / name / "text" for name in ("test", "joined"))
        assert cut.read_bytes() == whole.read_bytes()


def test_mistakes_are_named(tiny_slm: Path, features: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such mode; did you mean 'joint'"):
        decode(tiny_slm, features, tmp_path, "jonit")
    with pytest.raises(UserError, match="needs --num_samples"):
        decode(tiny_slm, features, tmp_path, "sample")
    with pytest.raises(UserError, match="there is no feats.scp, and this model reads features"):
        decode(tiny_slm, tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="this set is not decoded; name it in --data_dir too"):
        decode(tiny_slm, features, tmp_path, "joint", options={"weights_dev": str(tmp_path)})
    with pytest.raises(UserError, match="no such checkpoint"):
        decode(tiny_slm, features, tmp_path, checkpoint="nothing.pth")
    with pytest.raises(UserError, match="no config.yaml here"):
        decode(tmp_path, features, tmp_path)
    with pytest.raises(UserError, match="1 <= job <= num_jobs"):
        decode(tiny_slm, features, tmp_path, job=3, num_jobs=2)
