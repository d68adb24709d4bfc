"""Test sets without optional tables, and in-domain sets that are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from espnet_otreg.bin import slm_score, stage
from espnet_otreg.data.kaldi_dir import own_domain, read_table, write_table
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.scoring.references import check_in_domain, read_references
from espnet_otreg.scoring.score import Score

TEXTS = {"a": "press one", "b": "press two"}


def make(directory: Path, domain: str | None = None, texts: dict[str, str] = TEXTS) -> Path:
    """A data directory with the required tables, and utt2domain if a domain is given."""
    write_table(directory / "text", texts)
    write_table(directory / "utt2lang", dict.fromkeys(texts, "en"))
    if domain is not None:
        write_table(directory / "utt2domain", dict.fromkeys(texts, domain))
    return directory


def score(directory: Path, in_domain: list[str] | None = None) -> Score:
    return score_directory(directory, directory / "text", in_domain=in_domain)


def test_without_optional_tables_the_domain_is_the_name_of_the_directory(tmp_path: Path) -> None:
    for name, domain in (("test", "test"), ("My test-2", "My_test_2"), ("tëst", "tu00ebst")):
        directory = make(tmp_path / name)
        (result,) = score(directory).sets
        assert (result.domain, result.speakers, own_domain(directory)) == (domain, 0, domain)
        assert score(directory, [domain]).sets[0].group == "in_domain"
    assert read_references(tmp_path / "test").speakers == {"a": "a", "b": "b"}


def test_a_link_has_its_own_name(tmp_path: Path) -> None:
    make(tmp_path / "one" / "data")
    (tmp_path / "ood").symlink_to(tmp_path / "one" / "data")
    assert score(tmp_path / "ood").sets[0].domain == "ood"


def test_the_current_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make(tmp_path / "test"))
    for name in (".", "./", "../test", "../test/."):
        assert score(Path(name)).sets[0].domain == "test"


@pytest.mark.parametrize(
    ("remove", "says"),
    [
        ("utt2lang", "there is no utt2lang; give a data directory with text and utt2lang"),
        ("text", "there is no text; give a data directory with text and utt2lang"),
    ],
)
def test_required_tables(tmp_path: Path, remove: str, says: str) -> None:
    directory = make(tmp_path / "test")
    hypothesis = tmp_path / "hypothesis"
    write_table(hypothesis, TEXTS)
    (directory / remove).unlink()
    with pytest.raises(UserError) as refused:
        score_directory(directory, hypothesis)
    assert str(refused.value) == f"{directory}: {says}"
    with pytest.raises(UserError, match="no such directory"):
        score_directory(tmp_path / "none", hypothesis)


def test_empty_tables_and_values(tmp_path: Path) -> None:
    directory = make(tmp_path / "test", "x")
    write_table(directory / "utt2domain", {"a": "x", "b": ""})
    with pytest.raises(UserError, match="utt2domain: nothing is said of 'b'; write one word"):
        score(directory)
    (directory / "utt2domain").write_text("")
    with pytest.raises(UserError, match="'a' is in only one of text and utt2domain"):
        score(directory)
    (directory / "text").write_text("\n")
    with pytest.raises(UserError, match="no reference"):
        score(directory)


def test_hypotheses_of_another_test_set(tmp_path: Path) -> None:
    directory = make(tmp_path / "test")
    other = make(tmp_path / "ood", texts={"x": "one", "y": "two"})
    with pytest.raises(UserError, match="none of its ids has a reference, such as 'x'"):
        score_directory(directory, other / "text")


def test_hypotheses_as_other_systems_write_them(tmp_path: Path) -> None:
    directory, hypothesis = make(tmp_path / "test"), tmp_path / "hypothesis"
    hypothesis.write_bytes(b"a press one\r\nb press two\r\n")
    assert score_directory(directory, hypothesis).sets[0].wer.errors == 0
    hypothesis.write_bytes(b"\xef\xbb\xbfa press one\nb press two")
    assert score_directory(directory, hypothesis).sets[0].wer.errors == 0
    hypothesis.write_bytes(b"a press one\r\nb\r\n")
    assert score_directory(directory, hypothesis).sets[0].wer.errors == 2


def test_languages_by_any_name_are_one_set_with_the_rules_of_that_language(tmp_path: Path) -> None:
    directory = make(tmp_path / "test", texts={"a": "il col·legi", "b": "l'home", "c": "col·legi"})
    write_table(directory / "utt2lang", {"a": "cat", "b": "ca_ES", "c": "Catalan"})
    hypothesis = tmp_path / "hypothesis"
    write_table(hypothesis, {"a": "il collegi", "b": "l home", "c": "collegi"})
    (result,) = score_directory(directory, hypothesis).sets
    assert (result.language, result.wer.errors, result.wer.reference_length) == ("ca", 0, 5)
    write_table(directory / "utt2lang", {"a": "cat", "b": "ca", "c": "catlan"})
    with pytest.raises(UserError, match="utt2lang.*catlan"):
        score_directory(directory, hypothesis)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Test sets of three domains beside training and development data."""
    for name, domain in (
        ("train", None), ("dev", None), ("test", None), ("ood", "drascula"), ("more", "Tuxpaint"),
    ):  # fmt: skip
        make(tmp_path / name, domain)
    return tmp_path


def test_in_domain_is_a_set_here_or_beside(sets: Path) -> None:
    assert score(sets / "test", ["test"]).sets[0].group == "in_domain"
    assert score(sets / "ood", ["test"]).sets[0].group == "out_of_domain"
    assert score(sets / "dev", ["dev"]).sets[0].group == "in_domain"
    assert score(sets / "test", []).sets[0].group == "out_of_domain"
    assert score(sets / "test").sets[0].group == "out_of_domain"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["tset"], "--in_domain tset: no test set has this name; did you mean 'test'?"),
        (["TEST"], "did you mean 'test'? (known: Tuxpaint, drascula, test)"),
        (["tuxpaint"], "did you mean 'Tuxpaint'?"),
        (["train"], "known: Tuxpaint, drascula, test"),
        (["dev"], "--in_domain dev: no test set has this name"),
        (["test", "drascule"], "--in_domain drascule: no test set has this name; did you mean"),
        (["test,drascula"], "no test set has this name"),
        ([""], "no test set has this name"),
        (["core_sounds"], "known: Tuxpaint, drascula, test"),
    ],
)
def test_a_name_that_no_test_set_has(sets: Path, names: list[str], says: str) -> None:
    with pytest.raises(UserError) as refused:
        score(sets / "test", names)
    assert says in str(refused.value)


def test_a_word_is_no_list() -> None:
    with pytest.raises(UserError, match="expected a list of names, found 'test'"):
        check_in_domain("test", ["test"])


def test_the_command_writes_nothing_if_the_name_is_wrong(
    sets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = sets / "out" / "score.json"
    words = ["--reference_dir", sets / "ood", "--hypothesis", sets / "ood/text", "--output", output]
    monkeypatch.setattr("sys.argv", ["slm_score", *map(str, words), "--in_domain", "tets"])
    with pytest.raises(UserError, match="did you mean 'test'"):
        slm_score.main()
    assert not output.parent.exists()
    monkeypatch.setattr("sys.argv", ["slm_score", *map(str, words), "--in_domain", "test"])
    slm_score.main()
    note = "note: none of these sets is in-domain; test is beside them\n"
    assert capsys.readouterr().err == note and output.is_file()


def test_the_command_does_not_write_over_what_it_reads(
    sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(sets / "hypothesis", TEXTS)
    for output in (sets / "hypothesis", sets / "test/text", sets / "test/../test/utt2lang"):
        before = output.read_text()
        words = ["--reference_dir", sets / "test", "--hypothesis", sets / "hypothesis"]
        monkeypatch.setattr("sys.argv", ["slm_score", *map(str, words), "--output", str(output)])
        with pytest.raises(UserError, match="this file is read; give another --output"):
            slm_score.main()
        assert output.read_text() == before


def test_a_directory_is_no_score_file(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sets / "out").mkdir()
    monkeypatch.chdir(sets / "out")
    words = ["--reference_dir", sets / "test", "--hypothesis", sets / "test/text", "--output"]
    for output in (sets / "out", "", "."):
        monkeypatch.setattr("sys.argv", ["slm_score", *map(str, [*words, output])])
        with pytest.raises(UserError, match="this is a directory; name a file in it"):
            slm_score.main()
    assert list((sets / "out").iterdir()) == []


def test_a_recipe_checks_its_test_sets(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*names: str) -> None:
        directories = [str(sets / "test"), str(sets / "ood")]
        words = ["domains", "--in_domain", *names, "--data_dir", *directories]
        monkeypatch.setattr("sys.argv", ["stage", *words])
        stage.main()

    check("test")
    check("drascula", "test")
    check()
    for wrong in (["tst"], ["test", "train"], ["Tuxpaint"]):
        with pytest.raises(UserError, match=r"no test set has this name; .*drascula, test"):
            check(*wrong)


def would_run(*options: str) -> str:
    """The commands of a recipe, in order."""
    recipe = Path(__file__).resolve().parents[2] / "egs2/mini_multi/slm1"
    words = ["./run.sh", "--dry_run", "true", *options]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        words, cwd=recipe, capture_output=True, text=True, env={"PATH": path}, check=True
    )
    return done.stdout


def test_the_driver_asks_before_it_trains() -> None:
    commands = would_run("--stage", "format", "--stop_stage", "features", "--in_domain", "tst")
    asked = commands.index("espnet_otreg.bin.stage domains --in_domain tst")
    assert commands.index("format_data") < asked < commands.index("extract_features")


def test_the_driver_hands_on_options_of_scoring() -> None:
    options = ("--stage", "score", "--stop_stage", "score", "--arms", "sft")
    commands = would_run(*options, "--score_args", "--equivalences own.yaml --metric mer")
    (line, *others) = [line for line in commands.splitlines() if "bin.slm_score" in line]
    words = "--normalizer otreg-basic-v2 --in_domain core_sounds --beside menardi_same_prompts "
    words += "--equivalences own.yaml"
    assert others and f"{words} --metric mer" in line


def test_other_readers_do_without_the_table(sets: Path) -> None:
    from espnet_otreg.report.provenance import split_facts

    assert split_facts([sets / "test"], None)[0]["by_set"] == {"en test": 2}
    assert read_table(sets / "test" / "text") == TEXTS
