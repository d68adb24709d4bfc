"""A user's file of equivalent spellings and of what to ignore, against NIST's rfilter1."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import write_table
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.scoring.compare import compare
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.scoring.equivalences import Rules, read_equivalences
from espnet_otreg.scoring.error_rate import ErrorCounts
from espnet_otreg.scoring.normalize import SCORING_SCHEME
from espnet_otreg.scoring.results import score_tables
from espnet_otreg.scoring.rows import load_row
from espnet_otreg.scoring.score import read_score

FILE = """\
en:
  equivalent:
    - [going to, gonna, goin' to]
    - [Okay, OK, o k]
    - [two, to]
  ignore: [uh, you know]
no:
  equivalent: [[ja, yes], [on, no]]
zh:
  ignore: [嗯]
all:
  ignore: ["[noise]", "<unk>", "(laughs)"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def rules(path: Path, language: str = "en") -> Rules:
    return read_equivalences(path, SCORING_SCHEME).rules(language, SCORING_SCHEME)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "I'm GONNA say: o.k., OK!", "i'm going to say okay okay"),
        ("en", "Goin’ to, going to", "going to going to"),  # the first spelling stands for all
        ("en", "to go to", "two go two"),
        ("en", "Uh, you know gonnas you knew", "gonnas you knew"),  # whole words only
        ("en", "noise [NOISE] and [music] <unk>unk (laughs)", "noise and music unk"),
        ("no", "no yes", "on ja"),  # not YAML's false and true
        ("no", "uh [noise]", "uh"),
        ("zh", "嗯我嗯去 mall", "我去 mall"),
        ("fr", "gonna [noise]", "gonna"),
        ("en_US", "gonna", "going to"),
    ],
)
def test_what_the_entries_do(own: Path, language: str, text: str, expected: str) -> None:
    assert rules(own, language)(text)[0] == expected


def test_nothing_is_applied_to_what_was_put_there(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("en:\n  equivalent: [[a b, c], [b d, e], [x, a]]\n  ignore: [q]\n")
    apply = rules(path)
    assert apply("c d")[0] == "a b d"
    assert apply("a")[0] == "x" and apply("a b")[0] == "a b"
    assert apply("e q")[1] == {"e": 1, "q": 1}
    assert apply("a b x")[1] == {}, "a spelling that stands for itself is not counted"


def test_marks_in_brackets_of_every_shape(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("ja:\n  ignore: [【拍手】, （笑）, '⟨noise⟩', '＜笑＞']\n")
    assert rules(path, "ja")("【拍手】拍手（笑）笑 ⟨noise⟩ noise＜笑＞。")[0] == "拍手 笑 noise"


def test_words_that_no_entry_names_keep_their_form(own: Path) -> None:
    path = own.with_name("fr.yaml")
    path.write_text("fr: {ignore: [euh]}\n")
    assert rules(path, "fr")("L'été d’un écho")[0] == "l'été d'un écho"
    assert rules(path, "fr")("Euh l'été")[0] == "l été"


@pytest.fixture(scope="module")
def rfilter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str], list[str]], list]:
    """rfilter(rules, texts): the texts through a global mapping file of NIST."""
    places = [os.environ.get("SCLITE_DIR"), "/usr/lib/sctk/bin", os.environ.get("PATH")]
    program = shutil.which("rfilter1", path=os.pathsep.join(place for place in places if place))
    if program is None:
        pytest.fail("rfilter1 is missing: apt-get install sctk, or set SCLITE_DIR")
    directory = tmp_path_factory.mktemp("glm")

    def run(lines: list[str], texts: list[str]) -> list[str]:
        settings = ['* name "own"', '* desc "own"', "* format = 'NIST1'", "* max_nrules = '99'"]
        settings += ["* copy_no_hit = 'T'", "* case_sensitive = 'F'"]
        contexts = [f"{line} / [ ] __ [ ]" for line in lines]
        (directory / "own.glm").write_text("\n".join([*settings, *contexts, ""]))
        done = subprocess.run(
            [program, str(directory / "own.glm")],
            input="".join(f" {text} \n" for text in texts),
            capture_output=True,
            check=True,
            text=True,
        )
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    return run


def test_a_global_mapping_file_does_the_same(tmp_path: Path, rfilter: Callable) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "en:\n  equivalent: [[going to, gonna], [okay, o k, ok], [because, cause]]\n"
        "  ignore: [uh, you know]\n"
    )
    glm = ["gonna => going to", "o k => okay", "ok => okay", "cause => because", "uh =>",
           "you know =>"]  # fmt: skip
    draw = random.Random(0)
    words = "gonna o k ok cause uh you know because causes go okay uhm knows".split()
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(300)]
    expected = rfilter(glm, texts)
    assert [rules(path)(text)[0] for text in texts] == expected


FAULTY = """\
en:
  equivalent:
    - [going to, gonna]
    - [Gonna, goin']
    - [alone]
    - {a: b}
    - ["[noise]", noise]
  ignore: [uh, UH, "...", [], ""]
  ignores: [x]
engrish: {}
EN_us:
  ignore: foo
fr: [a]
all:
  ignore: [uh]
  ignore: [x]
"""


def test_all_faults_of_a_file_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(FAULTY)
    with pytest.raises(ConfigErrors) as refused:
        read_equivalences(path, SCORING_SCHEME)
    assert str(refused.value).startswith(f"{path}: ")
    errors = refused.value.errors
    lines = [int(error.split(":")[0].split()[1]) for error in errors]
    assert lines == sorted(lines) and set(lines) == {4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16}
    for part in ("'Gonna' is the same as on line 3", "two or more", "'[noise]' is a mark",
                 "'UH' is the same as on line 8", "'...' has no word", "did you mean 'ignore'",
                 "'engrish'", "'en' comes twice", "'ignore' comes twice",
                 "'uh' is the same as on line 8"):  # fmt: skip
        assert any(part in error for error in errors), part


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1: expected languages"),
        (b"- en\n", "line 1: expected languages"),
        (b"gonna: going to\n", "found 'gonna'"),
        (b"en:\n  ignore:\n", "line 2: expected a list below 'ignore'"),
        (b"en:\n  ignore: [uh\n", "not valid YAML"),
        (b"en:\n  ignore: [\xff]\n", ":2: not UTF-8"),
        (b"en:\n  ignore: &a [*a]\n", "line 2: expected a word or phrase"),
        (b"en:\n\tignore: [a]\n", "not valid YAML"),
        (b"en:\n  ignore: ['[noise']\n", "line 2: '[noise' would be read as 'noise', because ["),
        (b"en:\n  ignore: ['[a] b']\n", "because [ is taken out of every text before; write the w"),
        (b"en:\n  equivalent: [[c plus plus, C++]]\n", "'C++' would be read as 'c', because +"),
        (b"en:\n  equivalent: [['50%', half]]\n", "line 2: '50%' would be read as '50', because %"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_equivalences(path, SCORING_SCHEME)
    assert says in str(refused.value) and str(path) in str(refused.value)


def test_a_byte_order_mark_and_carriage_returns_are_read_over(own: Path) -> None:
    own.write_bytes(b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode())
    assert rules(own)("gonna")[0] == "going to"


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    texts = {"a": "I am going to uh do", "b": "okay", "c": "uh [noise]", "d": "no"}
    recognised = {"a": "i am gonna do", "b": "o k", "c": "no", "d": "uh uh no"}
    write_table(tmp_path / "test" / "text", texts)
    write_table(tmp_path / "test" / "utt2lang", dict.fromkeys(texts, "en"))
    write_table(tmp_path / "hypothesis", recognised)
    return tmp_path / "test", tmp_path / "hypothesis"


def test_a_score_names_and_counts_what_was_applied(
    small: tuple[Path, Path], own: Path, tmp_path: Path
) -> None:
    score = score_directory(*small, equivalences=own)
    (result,) = score.sets
    assert result.wer == ErrorCounts(hits=7) and result.empty_references == 1
    assert score.equivalences is not None
    assert score.equivalences["file"] == "own.yaml"
    assert score.equivalences["sha256"] == hashlib.sha256(own.read_bytes()).hexdigest()
    assert score.equivalences["uses"]["en"] == {
        "uh": {"reference": 2, "hypothesis": 2},
        "[noise]": {"reference": 1, "hypothesis": 0},
        "gonna": {"reference": 0, "hypothesis": 1},
        "o k": {"reference": 0, "hypothesis": 1},
    }
    score.write(tmp_path / "score.json")
    assert read_score(tmp_path / "score.json")["equivalences"] == score.equivalences
    text = score_tables(score)[0].text()
    assert "own.yaml applied 3 times in references and 4 times in hypotheses" in text
    assert score_directory(*small).sets[0].wer.errors > 4


def test_scores_with_other_files_do_not_compare(
    small: tuple[Path, Path], own: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.replace("uh, ", ""))
    same = tmp_path / "copy.yaml"
    same.write_text(FILE)
    rows = {}
    for name, file in (("none", None), ("own", own), ("other", other), ("same", same)):
        score_directory(*small, equivalences=file).write(tmp_path / f"{name}.json")
        rows[name] = load_row(name, [tmp_path / f"{name}.json"])
    for one, two in (("none", "own"), ("own", "none"), ("own", "other")):
        with pytest.raises(UserError, match="with the same --normalizer and --equivalences"):
            compare(rows[one], rows[two])
    with pytest.raises(UserError, match="equivalences"):
        load_row("both", [tmp_path / "own.json", tmp_path / "other.json"])
    assert compare(rows["own"], rows["same"]).primary[0].difference == 0.0


def test_a_score_without_a_file_says_so(small: tuple[Path, Path], tmp_path: Path) -> None:
    score_directory(*small).write(tmp_path / "score.json")
    assert json.loads((tmp_path / "score.json").read_text())["equivalences"] is None


def test_the_file_that_the_docs_show(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs/scoring.md"
    (block,) = re.findall(r"^```text\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    path = tmp_path / "own.yaml"
    path.write_text(block, encoding="utf-8")
    assert rules(path)("Um, [noise] I'm gonna say o.k.")[0] == "i'm going to say okay"
