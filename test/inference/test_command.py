"""slm_transcribe: what it reads, what it writes, and how it goes on after a bad recording."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.inference.inputs import Input, find_inputs, read_list
from espnet_otreg.inference.outputs import quiet_about_closed_pipe

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the recordings and other things; the current one."""
    for path in recordings:
        shutil.copy(path, tmp_path)
    for name in ("deep/er/d.WAV", "deep/.hidden.wav", ".cache/e.wav", "deep/ü 1.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(recordings[0], tmp_path / name)
    (tmp_path / "deep/readme.txt").write_text("no audio")
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*arguments: str, listed: str | None = None) -> list[str]:
    return [one.file for one in find_inputs(arguments, listed)]


def test_files_directories_and_patterns(place: Path) -> None:
    assert names("c.wav", "a.wav", "c.wav") == ["c.wav", "a.wav", "c.wav"]
    assert names("deep") == ["deep/er/d.WAV", "deep/ü 1.wav"]
    assert names(".") == ["./a.wav", "./b.flac", "./broken.wav", "./c.wav", "./deep/er/d.WAV",
                          "./deep/ü 1.wav"]  # fmt: skip
    assert names("*.wav", "-") == ["a.wav", "broken.wav", "c.wav", "-"]
    assert names("**/*.[wW][aA][vV]")[-2:] == ["deep/er/d.WAV", "deep/ü 1.wav"]
    assert names("de*") == ["deep/er/d.WAV", "deep/ü 1.wav"]
    assert names("no.wav") == ["no.wav"]  # reading it says so
    shutil.copy("a.wav", "take[1].wav")
    assert names("take[1].wav") == ["take[1].wav"]
    os.symlink("..", "deep/loop")
    assert names("deep") == ["deep/er/d.WAV", "deep/ü 1.wav"]


def test_what_names_no_recording_is_refused(place: Path) -> None:
    (place / "empty").mkdir()
    (place / "list").write_text("\n\r\n")
    for arguments, listed, says in (
        (["q*.wav"], None, "nothing matches this pattern"),
        (["empty"], None, "no recording in this directory"),
        ([""], None, "the name of a recording is empty"),
        (["-", "-"], None, "can be read once only"),
        (["-"], "-", "can be read once only"),
        ([], "list", "no recording in this list"),
    ):
        with pytest.raises(UserError, match=says):
            find_inputs(arguments, listed)


def test_a_list_names_recordings_and_languages(place: Path) -> None:
    odd = os.fsdecode(b"\xe9.wav")
    (place / "list").write_bytes(
        b"\xef\xbb\xbfa.wav\tIT\r\n\r\nb.flac\tEnglish\r\nc.wav\n" + os.fsencode(odd) + b"\tauto"
    )
    expected = [Input("a.wav", "it"), Input("b.flac", "en"), Input("c.wav"), Input(odd, "auto")]
    assert read_list("list") == expected
    for line, says in (
        ("a.wav\tit\tfr", "list:1: expected '<path>' or '<path> TAB <language>'"),
        ("\tit", "list:1: expected"),
        ("a.wav\tKlingonese", "list:1: unknown language 'Klingonese'"),
        ("utt1 a.wav", "list:1: no such file, but there is a.wav; remove 'utt1'"),
    ):
        (place / "list").write_text(line)
        with pytest.raises(UserError) as raised:
            read_list("list")
        assert str(raised.value).startswith(says)
    (place / "list").write_text("a.wav\n", encoding="utf-16")
    with pytest.raises(UserError, match="UTF-16"):
        read_list("list")


def test_one_recording_gives_its_text_alone(main: Main, place: Path, texts: list[str]) -> None:
    assert main("a.wav", "--language", "it") == (0, f"{texts[0]}\n", "")
    status, out, err = main("a.wav", "--language", "it", "--format", "jsonl")
    assert status == 0 and err == "" and json.loads(out) == {
        "file": "a.wav", "text": texts[0], "language": "it", "language_probability": None,
        "seconds": 0.6, "error": None,
    }  # fmt: skip


def test_it_goes_on_after_a_bad_recording(main: Main, place: Path, texts: list[str]) -> None:
    words = ("a.wav", "broken.wav", "b.flac", "no.wav", "c.wav", "--language", "it")
    expected = f"a.wav\t{texts[0]}\nb.flac\t{texts[1]}\nc.wav\t{texts[2]}\n"
    for more in ((), ("--batch_size", 2), ("--batch_size", 9)):
        status, out, err = main(*words, *more)
        assert (status, out) == (1, expected)
        lines = err.splitlines()
        assert lines[0].startswith("broken.wav: not an audio file")
        assert lines[1].startswith("no.wav: no such file")
        assert lines[2].startswith("transcripts: 5/5 recordings")
        assert lines[3:] == ["error: 2 of 5 recordings could not be transcribed"]
    status, out, _ = main(*words, "--format", "json")
    found = json.loads(out)
    assert status == 1
    assert [one["text"] for one in found] == [texts[0], None, texts[1], None, texts[2]]
    assert [one["error"] is None for one in found] == [True, False, True, False, True]
    assert "not an audio file" in found[1]["error"]


def test_nothing_is_loaded_for_recordings_that_cannot_be_read(
    main: Main, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from espnet_otreg.inference.speech_lm import SpeechLM

    monkeypatch.delattr(SpeechLM, "from_pretrained")
    status, out, err = main("no.wav", "--language", "it")
    assert (status, out) == (1, "") and err.startswith("error: no.wav: no such file")
    status, out, err = main("no.wav", "broken.wav", "--language", "it")
    assert (status, out) == (1, "") and err.endswith("error: 2 of 2 recordings could not be "
                                                     "transcribed\n")  # fmt: skip
    for words, says in (
        (("a.wav", "--language", "de"), "not trained for German"),
        (("a.wav",), "nobody says which language"),
        (("a.wav", "--language", "it", "--mode", "llm_shuffled"), "take slm_decode"),
        (("a.wav", "--language", "it", "--mode", "jiont"), "did you mean 'joint'"),
        (
            ("a.wav", "--language", "it", "--batch_size", 0),
            "batch_size: expected a whole number",
        ),
        (("a.wav", "--language", "it", "--output", "."), "a directory"),
        (("a.wav", "--language", "it", "--output", "a.wav"), "the output is one of the recordings"),
        (("q?.wav", "--language", "it"), "nothing matches"),
    ):
        status, out, err = main(*words)
        assert (status, out, err.count("\n")) == (1, "", 1) and says in err
    status, _, err = main("a.wav", "--language", "it", model=place)
    assert status == 1 and "no config.yaml here" in err
    assert main("--language", "it")[0] == 2


def test_a_list_decides_the_language(main: Main, place: Path, speech_lm: Any) -> None:
    (place / "list").write_text("a.wav\tit\nb.flac\tRussian\n")
    status, out, _ = main("--list", "list", "--format", "jsonl", "--mode", "llm")
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [one["language"] for one in found] == ["it", "ru"]
    assert [one["text"] for one in found] == speech_lm.transcribe(
        ["a.wav", "b.flac"], ["it", "ru"], "llm"
    )
    (place / "list").write_text("a.wav\tde\n")
    status, _, err = main("--list", "list", "--language", "it")
    assert status == 1 and err.startswith("error: a.wav: this model was not trained for German")
    status, out, _ = main("a.wav", "--language", "auto", "--format", "json")
    [one] = json.loads(out)
    assert status == 0 and 0.2 <= one["language_probability"] <= 1


def test_standard_input_and_pipes(
    main: Main, place: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (place / "b.flac").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main("-", "--language", "it") == (0, f"{texts[1]}\n", "")
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        sender = threading.Thread(target=lambda: (file.write(content), file.close()))
        sender.start()
        assert main(f"/dev/fd/{reading}", "--language", "it") == (0, f"{texts[1]}\n", "")
        sender.join()
    os.close(reading)


def test_file_names_of_any_bytes(main: Main, place: Path, texts: list[str]) -> None:
    odd = ["two\nlines.wav", "tab\t.wav", os.fsdecode(b"\xff.wav"), "日本 語.wav"]
    for name in odd:
        shutil.copy("a.wav", name)
    status, out, _ = main(*odd, "--language", "it")
    shown = ["two\\nlines.wav", "tab\\t.wav", "\\xff.wav", "日本 語.wav"]
    assert status == 0 and out.splitlines() == [f"{name}\t{texts[0]}" for name in shown]
    status, out, _ = main(*odd, "--language", "it", "--format", "jsonl")
    assert status == 0 and [json.loads(line)["file"] for line in out.splitlines()] == odd
    status, _, err = main("no\n\udcff.wav", "--language", "it")
    assert status == 1 and err.startswith("error: no\\n\\xff.wav: no such file")


def test_an_output_file_is_whole_or_absent(
    main: Main, place: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, speech_lm: Any
) -> None:
    words = ("a.wav", "broken.wav", "--language", "it", "--output")
    status, out, _ = main(*words, "new/out.json", "--format", "json")
    assert (status, out) == (1, "")
    assert [one["text"] for one in read_json("new/out.json")] == [texts[0], None]
    assert main(*words, "out.txt")[0] == 1
    assert Path("out.txt").read_text(encoding="utf-8") == f"a.wav\t{texts[0]}\n"

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(speech_lm, "transcripts", interrupted)
    status, out, err = main(*words, "other.txt")
    assert (status, out, err) == (130, "", "error: interrupted; run the same command again to go "
                                           "on\n")  # fmt: skip
    assert not Path("other.txt").exists() and not list(place.glob(".other*"))


def test_a_reader_that_stops_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended, quiet_about_closed_pipe():
            print("text", flush=True)
        print("more", flush=True)  # goes nowhere now
    assert ended.value.code == 141
