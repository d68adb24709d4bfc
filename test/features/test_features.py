"""Features in Kaldi archives: right numbers and tables, resumable, clear about bad audio."""

from __future__ import annotations

import signal
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
from bad_input import ForkServer, assert_refused
from data_dir import write_data_dir
from tiny_speech import build_tiny_speech_model

from espnet_otreg.data.ark import FeatureTable
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError
from espnet_otreg.features.combine import combine_features
from espnet_otreg.features.extraction import extract_features
from espnet_otreg.files import read_json, sha256_file
from espnet_otreg.slm.encoders.wav2vec2_network import Wav2Vec2Encoder
from espnet_otreg.slm.encoders.whisper_network import WhisperEncoder

TABLES = ("text", "utt2lang", "utt2spk", "utt2domain", "spk2utt", "utt2dur", "feats.scp")


def load(directory: Path) -> dict[str, np.ndarray]:
    return dict(kaldiio.load_scp(str(directory / "feats.scp")).items())


def test_archives_hold_what_the_encoder_gives(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    output = tmp_path / "features"
    extract_features(str(data_dir), str(output), str(tiny_whisper), num_jobs=2)
    features = load(output)
    encoder = WhisperEncoder(str(tiny_whisper)).eval()
    for key, wav in read_table(data_dir / "wav.scp").items():
        samples = torch.tensor(soundfile.read(wav, dtype="float32")[0])[None]
        with torch.inference_mode():
            expected = encoder(samples, torch.tensor([samples.shape[1]]))[0][0].numpy()
        assert np.array_equal(features[key], expected)
    for name in ("text", "utt2lang", "utt2spk", "utt2domain", "utt2dur"):
        assert read_table(output / name) == read_table(data_dir / name), name
    about = read_json(output / "feats.json")
    assert about["dim"] == 32 and about["frame_seconds"] == 0.02 and about["sample_rate"] == 16000
    assert about["encoder_sha256"] == sha256_file(tiny_whisper / "model.safetensors")


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_other_encoders_give_features_of_long_recordings_too(kind: str, tmp_path: Path) -> None:
    model = build_tiny_speech_model(tmp_path / "model", kind)
    data, output = write_data_dir(tmp_path / "data", [0.5, 31.0]), tmp_path / "features"
    extract_features(str(data), str(output), str(model), trailing_silence=0.0)
    encoder = Wav2Vec2Encoder(str(model)).eval()
    for key, wav in read_table(data / "wav.scp").items():
        samples = torch.tensor(soundfile.read(wav, dtype="float32")[0])[None]
        with torch.inference_mode():
            expected = encoder(samples, torch.tensor([samples.shape[1]]))[0][0].numpy()
        np.testing.assert_allclose(load(output)[key], expected, rtol=1e-5, atol=1e-5)


def test_batches_and_processes_change_nothing_that_matters(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    one, two, three = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    extract_features(str(data_dir), str(one), str(tiny_whisper))
    extract_features(str(data_dir), str(two), str(tiny_whisper), nj=2, num_jobs=3)
    extract_features(str(data_dir), str(three), str(tiny_whisper), batch_seconds=100.0)
    expected = load(one)
    for key, matrix in load(two).items():
        np.testing.assert_allclose(matrix, expected[key], rtol=1e-5, atol=1e-5)
    for key, matrix in load(three).items():
        np.testing.assert_allclose(matrix, expected[key], rtol=1e-5, atol=1e-5)
    assert load(two).keys() == load(three).keys() == expected.keys()


def test_jobs_of_an_array_are_merged_by_the_call_without_job(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    output, given = tmp_path / "features", {"num_jobs": 7}
    for job in (7, 2, 1):  # five utterances: job 7 has nothing to do
        extract_features(str(data_dir), str(output), str(tiny_whisper), job=job, **given)
    assert not (output / "feats.scp").exists()
    before = (output / "jobs/1/feats.ark").stat().st_mtime_ns
    extract_features(str(data_dir), str(output), str(tiny_whisper), **given)
    assert (output / "jobs/1/feats.ark").stat().st_mtime_ns == before
    assert len(load(output)) == 5


def test_augmented_copies_are_named_reproducible_and_different(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    one, two, other = tmp_path / "one", tmp_path / "two", tmp_path / "other"
    extract_features(str(data_dir), str(one), str(tiny_whisper), augment_copies=2)
    extract_features(
        str(data_dir), str(two), str(tiny_whisper), augment_copies=1, only_augmented=True
    )
    extract_features(
        str(data_dir), str(other), str(tiny_whisper), augment_copies=1, only_augmented=True, seed=1
    )
    assert len(load(one)) == 15 and len(load(two)) == 5
    keys = {name: list(read_table(one / name)) for name in TABLES if name != "spk2utt"}
    assert all(found == sorted(keys["feats.scp"]) for found in keys.values())
    assert read_table(one / "text")["aug2_it_core_a_003"] == "parola numero 3"
    for key, matrix in load(two).items():
        assert key.startswith("aug1_")
        assert np.array_equal(matrix, load(one)[key])
    changed = [key for key, m in load(other).items() if not np.array_equal(m, load(two)[key])]
    assert len(changed) >= 4
    seconds = read_table(one / "utt2dur")
    assert any(seconds[key] != seconds[f"aug1_{key}"] for key in read_table(data_dir / "text"))


def test_a_second_run_does_nothing_and_a_change_does_all(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "features"
    extract_features(str(data_dir), str(output), str(tiny_whisper))
    before = (output / "jobs/1/feats.ark").stat().st_mtime_ns
    extract_features(str(data_dir), str(output), str(tiny_whisper))
    assert "encoded already" in capsys.readouterr().out
    assert (output / "jobs/1/feats.ark").stat().st_mtime_ns == before
    extract_features(str(data_dir), str(output), str(tiny_whisper), trailing_silence=0.1)
    assert load(output)["it_core_a_001"].shape[0] == 55


def test_a_killed_run_goes_on_where_it_was(
    fork_server: ForkServer, tiny_whisper: Path, tmp_path: Path
) -> None:
    data = write_data_dir(tmp_path / "data", [1.0] * 30)
    output = tmp_path / "features"
    options = ("--data", data, "--output", output, "--model", tiny_whisper, "--num_jobs", 15)
    first = output / "jobs/1/part.json"
    killed = fork_server("extract_features", *options, fault={"kind": "file", "path": str(first)})
    assert killed.status == -signal.SIGKILL
    assert not (output / "feats.scp").exists() and not (output / "jobs/15/part.json").exists()
    kept = (output / "jobs/1/feats.ark").stat().st_mtime_ns
    assert fork_server("extract_features", *options).status == 0
    assert (output / "jobs/1/feats.ark").stat().st_mtime_ns == kept
    assert len(load(output)) == 30
    assert not list(output.rglob("*.tmp"))


def archives(output: Path) -> dict[str, int]:
    """When each job's archive was written."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in sorted(output.glob("jobs/*/feats.ark"))
    }


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "no record"])
def test_a_damaged_archive_and_no_other_is_made_again(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path, damage: str
) -> None:
    output, given = tmp_path / "features", {"num_jobs": 3}
    extract_features(str(data_dir), str(output), str(tiny_whisper), **given)
    before, expected = archives(output), load(output)
    archive = output / "jobs/2/feats.ark"
    content = archive.read_bytes()
    if damage == "truncated":
        archive.write_bytes(content[:-100])
    elif damage == "flipped":
        archive.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        key = list(read_table(output / "feats.scp"))[1]
        with pytest.raises(UserError, match=f"utterance {key} .*not those that were written"):
            FeatureTable(output / "feats.scp")[key]
    elif damage == "missing":
        archive.unlink()
    else:
        (output / "jobs/2/part.json").write_text("{")
    extract_features(str(data_dir), str(output), str(tiny_whisper), **given)
    assert archive.read_bytes() == content
    assert [job for job, time in archives(output).items() if time != before[job]] == ["2"]
    for key, matrix in load(output).items():
        assert np.array_equal(matrix, expected[key])


def test_features_of_another_place_with_the_same_recordings_are_the_same(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    output = tmp_path / "features"
    extract_features(str(data_dir), str(output), str(tiny_whisper))
    before = archives(output)
    moved = data_dir.rename(tmp_path / "moved")
    table = moved / "wav.scp"
    table.write_text(table.read_text().replace(f"{data_dir}/", f"{moved}/"))
    extract_features(str(moved), str(output), str(tiny_whisper))
    assert archives(output) == before


def spoil(data: Path, defect: str) -> None:
    wav = data / "wavs/it_core_a_003.wav"
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    if defect == "missing":
        wav.unlink()
    elif defect == "empty":
        soundfile.write(wav, noise[:0], 16000)
    elif defect == "NaN":
        soundfile.write(wav, np.append(noise, np.nan), 16000, subtype="FLOAT")
    elif defect == "truncated":
        wav.write_bytes(wav.read_bytes()[:20000])
    elif defect == "cannot be read":
        wav.write_bytes(b"this is no audio")
    elif defect == "lasts":
        soundfile.write(wav, np.tile(noise, 31), 16000)


@pytest.mark.parametrize(
    "defect",
    ["missing", "empty", "NaN", "truncated", "cannot be read", "lasts"],
)
def test_a_defective_recording_is_named(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path, defect: str
) -> None:
    spoil(data_dir, defect)
    output = tmp_path / "features"
    with pytest.raises(UserError, match=f"it_core_a_003.*{defect}") as raised:
        extract_features(str(data_dir), str(output), str(tiny_whisper))
    assert "\n" not in str(raised.value)
    assert not (output / "feats.scp").exists() and not list(tmp_path.rglob("feats.ark"))


def test_an_over_long_recording_is_found_before_the_work(
    tiny_whisper: Path, tmp_path: Path
) -> None:
    data = write_data_dir(tmp_path / "data", [1.0, 30.5])
    with pytest.raises(UserError, match=r"it_core_a_001.*lasts 30\.5 s, more than the 30 s"):
        extract_features(str(data), str(tmp_path / "features"), str(tiny_whisper))
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"job": 1}, "--job 1 is not one of"),
        ({"nj": 0}, "--nj must be at least 1"),
        ({"only_augmented": True}, "--augment_copies must be at least 1"),
        ({"model": "/nowhere"}, "/nowhere: no such model directory"),
    ],
)
def test_wrong_options_are_clear_errors(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path, given: dict, message: str
) -> None:
    arguments = {"model": str(tiny_whisper)} | given
    with pytest.raises(UserError, match=message):
        extract_features(str(data_dir), str(tmp_path / "features"), **arguments)


def test_mistakes_in_the_augmentation_are_reported_together(
    data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    config = tmp_path / "augment.yaml"
    config.write_text("noise_probabilty: 0.5\nspeed_probability: high\n")
    with pytest.raises(UserError, match=r"2 configuration errors.*noise_probability.*float"):
        extract_features(
            str(data_dir), str(tmp_path / "f"), str(tiny_whisper), augment_config=str(config)
        )


def test_the_command_line_ends_in_one_sentence(
    fork_server: ForkServer, data_dir: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    spoil(data_dir, "lasts")
    words = ("--data", data_dir, "--output", tmp_path / "f", "--model", tiny_whisper)
    done = fork_server("extract_features", *words, "--nj", 2, "--num_jobs", 2)
    assert_refused(done, "it_core_a_003", "lasts 31.0 s")


def test_features_of_two_directories_are_read_as_one(tiny_whisper: Path, tmp_path: Path) -> None:
    for name, seconds, language in (("real", [0.4, 0.5], "it"), ("made", [0.3], "en")):
        data = write_data_dir(tmp_path / name, seconds, language)
        extract_features(str(data), str(tmp_path / f"{name}_f"), str(tiny_whisper))
    parts = [tmp_path / "real_f", tmp_path / "made_f"]
    assert combine_features(parts, tmp_path / "both") == 3
    single = load(parts[0]) | load(parts[1])
    both = load(tmp_path / "both")
    assert list(both) == sorted(single)
    assert all(np.array_equal(both[key], single[key]) for key in single)
    record = read_json(tmp_path / "both/feats.json")
    assert record["content"] == sha256_file(tmp_path / "both/utt2digest")
    with pytest.raises(UserError, match="comes twice"):
        combine_features([parts[0], parts[0]], tmp_path / "none")
    extract_features(str(tmp_path / "made"), str(parts[1]), str(tiny_whisper), trailing_silence=0.1)
    with pytest.raises(UserError, match="trailing_silence is 0.1, that of .*real_f 0.5; extract"):
        combine_features(parts, tmp_path / "none")
