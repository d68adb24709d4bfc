"""The data commands: quick help, one clear sentence and status 1 for a user's mistake."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from bad_input import command

from espnet_otreg.data.kaldi_dir import Utterance, read_data_dir, write_data_dir
from espnet_otreg.files import lock_directory, read_json

ROOT = Path(__file__).resolve().parents[2]
DATA_SH = ROOT / "egs2/mini_multi/slm1/local/data.sh"
MakeDir = Callable[..., Path]


def test_validate_and_format(make_data_dir: MakeDir, tmp_path: Path) -> None:
    directory = make_data_dir()
    resampled = "2 recordings of 8000 Hz are resampled to 16000 Hz, for instance "
    said = command("validate_data", directory, "--check_audio").stdout.splitlines()
    assert said[0].startswith(f"notice: {resampled}") and said[1:] == [f"{directory}: valid"]
    done = command("format_data", "--data_dir", directory, "--output_dir", tmp_path / "dump")
    said = done.stdout.splitlines()
    assert said[0].startswith(resampled)
    assert said[1:] == [f"{tmp_path / 'dump'}: 2 utterances, 1.0 s; dropped: none"]


def test_faults_are_printed_one_a_line(make_data_dir: MakeDir, tmp_path: Path) -> None:
    directory = make_data_dir(text="a\nb\n")
    done = command("validate_data", directory)
    assert done.status == 1 and len(done.stderr.splitlines()) == 3
    assert done.stderr.endswith("error: 2 faults found; see above\n")
    assert len(command("validate_data", directory, "--show", "1").stderr.splitlines()) == 3
    done = command("format_data", "--data_dir", directory, "--output_dir", tmp_path / "dump")
    assert done.status == 1 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "dump").exists()


def test_two_runs_in_one_directory(make_data_dir: MakeDir, tmp_path: Path) -> None:
    with lock_directory(tmp_path / "dump"):
        done = command(
            "format_data", "--data_dir", make_data_dir(), "--output_dir", tmp_path / "dump"
        )
    assert done.status == 1 and "is writing here" in done.stderr


def test_an_output_that_cannot_be_made(make_data_dir: MakeDir, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "file/dump"
    done = command("format_data", "--data_dir", make_data_dir(), "--output_dir", output)
    assert done.status == 1 and done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_full_disk(make_data_dir: MakeDir, tmp_path: Path) -> None:
    """A limit on the size of files ends in the same system call that fails on a full disk."""
    words = ("--nj", 2, "--data_dir", make_data_dir(), "--output_dir", tmp_path / "dump")
    done = command("format_data", *words, max_file_bytes=8192)
    assert done.status == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "file too large" in done.stderr
    assert not (tmp_path / "dump/wav.scp").exists()
    assert not list((tmp_path / "dump").rglob("*.tmp"))


def test_split_data(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(40)]
    for domain in ("in", "out", "more", "same"):
        utterances = [
            Utterance(f"en_{domain}_{n}", "a.wav", text, text, "en", f"en_{domain}", domain)
            for n, text in enumerate(texts)
        ]
        write_data_dir(tmp_path / domain, utterances)
    arguments = ["--in_domain", tmp_path / "in", "--out_of_domain", tmp_path / "out"]
    arguments += ["--output_dir", tmp_path / "data", "--record", tmp_path / "split.json"]
    done = command("split_data", *arguments)
    assert done.status == 0, done.stderr
    names = ("train", "preference", "dev", "test", "ood")
    sizes = {name: len(read_data_dir(tmp_path / "data" / name)) for name in names}
    # No text of train is left in ood, nor one that is kept out of train.
    assert sizes["train"] + sizes["preference"] + sizes["ood"] == 40 and sizes["preference"]
    log = read_json(tmp_path / "data/prep_log.json")
    assert len(log["in_training"]) == sizes["train"] + sizes["preference"]

    more = ["--training", tmp_path / "more", "--same_texts", tmp_path / "same"]
    record = ["--record", tmp_path / "other.json"]
    done = command("split_data", *arguments[:-2], *record, *more)
    assert done.status == 0, done.stderr
    own = {name: {u.text for u in read_data_dir(tmp_path / "data" / name)} for name in names}
    # All 40 texts are in ood by now, so that no other corpus brings one of them to train.
    assert len(own["ood"]) == 40 and len(own["train"]) == sizes["train"]
    assert len(read_json(tmp_path / "data/prep_log.json")["in_other_sets"]) == 40
    done = command("split_data", *arguments[:-2], *record, *more[:2])
    assert done.status == 1 and "is not the recorded one" in done.stderr
    (tmp_path / "other.json").unlink()
    assert command("split_data", *arguments[:-2], *record, *more[:2]).status == 0
    domains = [u.domain for u in read_data_dir(tmp_path / "data/train")]
    assert domains.count("more") == domains.count("in") == sizes["train"]
    write_data_dir(tmp_path / "in", utterances[:30])
    done = command("split_data", *arguments)
    assert done.status == 1 and "is not the recorded one" in done.stderr
    assert len(read_data_dir(tmp_path / "data/train")) == 2 * sizes["train"]  # nothing is written


def test_data_sh(tmp_path: Path) -> None:
    done = subprocess.run(["bash", DATA_SH, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--data_root DIR" in done.stdout
    done = subprocess.run(
        ["bash", DATA_SH, "--data_root", tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert (
        "no flight-of-the-amazon-queen_" in done.stderr and "put the packages there" in done.stderr
    )


def test_the_record_of_the_recipe() -> None:
    sets = read_json(DATA_SH.parents[1] / "conf/split.json")["sets"]
    counts = {name: entry["utterances"] for name, entry in sets.items()}
    assert counts == {"train": 7896, "preference": 100, "dev": 242, "test": 263, "ood": 4607}
