"""Marks in one's own transcripts never become words: known ones go, others are asked about."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_data_dir
from espnet_otreg.data.mark_rules import MarkRule, read_mark_rules
from espnet_otreg.data.marks import take_marks
from espnet_otreg.data.own_text import read_own_text
from espnet_otreg.data.validate import DataErrors, validate_data
from espnet_otreg.errors import UserError

MakeDir = Callable[..., Path]


def words_of(text: str, language: str = "en") -> str:
    own = read_own_text({"a": text}, {"a": language})
    return own.words.get("a", f"dropped: {''.join(own.dropped)}")


KNOWN = {
    "go [noise] <unk> <COMMA>": "go",
    "well<COMMA> go <PERIOD> on <QUESTIONMARK> so <EXCLAMATIONPOINT>": "well go on so",
    "<SIL> a <MUSIC> b <NOISE> c <OTHER>": "a b c",
    "[laughter-i'm] [laughter] here [vocalized-noise]": "i'm here",
    "so {breath} (( )) (()) ((unintelligible)) on": "so on",
    "<spoken_noise> a [NOISE] b [SPN] c": "a b c",
    "+noise+ a ++um++ b *uh* c #noise d": "a b c d",
    "%hesitation a &uh b &-um c &=laughs d xxx e": "a b c d e",
    "a <v-noise> b </v-noise> c [Phone ringing]": "a b c",
    "<|startoftranscript|><|en|><|0.00|> hello<|endoftext|>": "hello",
    "<s> hello </s> <pad> [PAD]": "hello",
    "a wor- th[at]- b": "a wor th b",
    "the Haupt- und Nebensatz": "the haupt und nebensatz",
    "an <i>old</i> (laughs) house": "an old house",
    "＜ｎｏｉｓｅ＞ a ［noise］ b": "a b",
    "⟨noise⟩ a 【noise】 b {{noise}} <noise/> c": "a b c",
    "「go」 《on》": "go on",
    "/unintelligible/ a !SIL b": "a b",
    "[noise] <unk> (())": "dropped: no_words",
    "he (so to say) went": "dropped: note",
    "friend(s)": "dropped: note",
    "a) first": "a first",
    ">> so it is": "so it is",
    "Note: it is so": "note it is so",
    "ALL CAPITALS: SO": "all capitals so",
    "go to www.google.com": "dropped: symbol",
    "Www.example.de is it": "dropped: symbol",
    "see https://x now": "dropped: symbol",
    "bbc.co.uk has it": "dropped: symbol",
    "The end.Next, U.S.A. e.g. now.": "the end next u s a e g now",
}


@pytest.mark.parametrize("text", KNOWN)
def test_known_marks_go(text: str) -> None:
    assert not take_marks(text).unknown
    assert words_of(text) == KNOWN[text]


@pytest.mark.parametrize(
    "mark",
    ["[door]", "<foreign>", "{fw}", "((i think so))", "*word*", "**bold**", "+door+", "%foo", "&fr",
     "[noise", "noise]", "<unk", "unk>", "{x", "【音楽】", "⟦x⟧", "⟨x", "[in]",
     "[pre[sent]-/pres[ent]-]", "YYY",
     ",COMMA", ".PERIOD", "<lang:es>", "[12.5]"],
)  # fmt: skip
def test_unknown_marks_are_named_and_no_words(mark: str) -> None:
    assert take_marks(f"go {mark} on").unknown == (mark,)


@pytest.mark.parametrize(
    "text",
    ["plain text - so", "R&B at 5 < 6", "50% of %50", "#one +1", "50 *", "l'été: «oui»", ":-) a)"],
)
def test_other_text_has_no_mark(text: str) -> None:
    marked = take_marks(text)
    assert (marked.text, marked.done, marked.unknown, marked.drop) == (text, (), (), None)


@pytest.mark.parametrize(
    "label",
    ["SPEAKER 1:", "Speaker A:", "speaker_00:", "JOHN:", "MR. SMITH:", "Interviewer:", "Q:", "S1:",
     "ИВАН:"],
)  # fmt: skip
def test_who_speaks_is_asked_about(label: str, tmp_path: Path) -> None:
    marked = take_marks(f" >> {label} go on")
    assert (marked.text, marked.unknown) == ("go on", (label,))
    (tmp_path / "marks").write_text(f"{label} remove\n")  # the line that the error proposes
    marked = take_marks(f"{label} go on", read_mark_rules(tmp_path / "marks"))
    assert (marked.text, marked.unknown, marked.done) == ("go on", (), (f"{label} removed",))
    assert take_marks(f">> {label} go on", [MarkRule(">>", "drop")]).drop == "mark"
    speakers = [MarkRule("speaker*:", "remove")]
    assert take_marks("SPEAKER 12: go Speaker 1", speakers).text == "go Speaker 1"


def test_what_the_user_says_comes_first() -> None:
    rules = [
        MarkRule("[door*]", "remove"),
        MarkRule("<foreign>", "drop"),
        MarkRule("((*))", "keep"),
        MarkRule("(*)", "keep"),
        MarkRule("%um", "word", "um"),
        MarkRule("<unk>", "drop"),
    ]
    assert take_marks("[Door slam] a ((i [noise] think)) (so) %um, b", rules).text == (
        "a i think so um b"
    )
    assert take_marks("a <foreign> b", rules).drop == "mark"
    assert read_own_text({"a": "so <unk>"}, {"a": "en"}, rules).dropped == {"mark": ["a"]}


def test_the_file_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    path.write_bytes("\ufeff# ours\r\n[a word b] remove\r\n\r\n#um word um\r\n".encode())
    assert read_mark_rules(path) == [
        MarkRule("[a word b]", "remove"),
        MarkRule("#um", "word", "um"),
    ]
    path.write_text("[a]\n[b] delete\n<c> word\n<d> keep it\n* remove\n[e] drop\n[E] keep\n")
    with pytest.raises(UserError) as error:
        read_mark_rules(path)
    for number in (1, 2, 3, 4, 5, 7):
        assert f"marks:{number}: " in str(error.value)
    assert "marks:6: " not in str(error.value)


def test_stage_2_counts_known_marks_and_asks_about_others(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    directory = make_data_dir(text="a go [noise] on [noise] [door]\nb [Door] (()) <unk>\n")
    sentence = (
        "own/text:1: unknown mark '[door]' (2 times, first in utterance 'a'); say what it is in a "
        "file for --marks: [door] remove, or keep, drop, word TEXT"
    )
    (error,) = validate_data(directory)
    assert sentence in error
    with pytest.raises(DataErrors, match="unknown mark"):
        format_data(directory, tmp_path / "dump")
    assert not (tmp_path / "dump").exists()
    (tmp_path / "marks").write_text("[door] remove\n")
    report = format_data(directory, tmp_path / "dump", marks=tmp_path / "marks")
    assert [u.text for u in read_data_dir(tmp_path / "dump")] == ["go on"]
    assert report.dropped == {"no_words": ["b"]}
    assert report.marks == {
        "[noise] removed": ["a", "a"],
        "[door] removed": ["a"],
        "[Door] removed": ["b"],
        "(()) removed": ["b"],
        "<unk> removed": ["b"],
    }
    written = json.loads((tmp_path / "dump/format_report.json").read_text())
    assert written["marks"] == report.marks and written["dropped"] == report.dropped
    assert validate_data(directory, rules=read_mark_rules(tmp_path / "marks")) == []


def test_a_transcript_of_signs_alone_is_dropped_and_not_called_empty(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    directory = make_data_dir(text="a ♪ ♪\nb go on\n")
    assert validate_data(directory) == []
    assert format_data(directory, tmp_path / "dump").dropped == {"symbol": ["a"]}


def test_a_prepared_directory_has_no_marks(make_data_dir: MakeDir) -> None:
    directory = make_data_dir(text="a go [noise]\nb ok\n", **{"text.raw": "a Go.\nb Ok.\n"})
    (error,) = validate_data(directory)
    assert "own/text:1: utterance 'a': a mark, although text.raw says" in error


def test_the_commands_say_it(
    make_data_dir: MakeDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    from espnet_otreg.bin import format_data as format_command
    from espnet_otreg.bin import validate_data as validate_command

    directory = str(make_data_dir(text="a go [noise]\nb <foreign> ok\n"))
    (tmp_path / "marks").write_text("<foreign> remove\n")
    marks = ["--marks", str(tmp_path / "marks")]
    monkeypatch.setattr("sys.argv", ["validate_data", directory, *marks])
    validate_command.main()
    output = ["--output_dir", str(tmp_path / "dump"), "--nj", "1"]
    monkeypatch.setattr("sys.argv", ["format_data", "--data_dir", directory, *output, *marks])
    format_command.main()
    told = capsys.readouterr().out
    assert told.count("marks: <foreign> removed 1, [noise] removed 1") == 2
    assert f"{directory}: valid" in told and "2 utterances" in told
