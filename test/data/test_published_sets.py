"""From the publishers' sets to those of a recipe, and what training and tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_input import command, run
from published_corpora import write_fleurs, write_librispeech, write_mls
from tiny_multi_domain import ROOT, write_corpora

from espnet_otreg.data.corpora import PUBLISHED
from espnet_otreg.data.kaldi_dir import Utterance, read_data_dir, write_data_dir
from espnet_otreg.data.overlap import sentence_overlap
from espnet_otreg.data.published_sets import parse_parts, pool_sets
from espnet_otreg.data.publishers import LICENCES
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

RECIPES = sorted(path.parents[2].name for path in (ROOT / "egs2").glob("*/slm1/local/data.sh"))
NEW_RECIPES = [name for name in RECIPES if name != "mini_multi"]


def utterance(key: str, text: str, language: str = "de", speaker: str = "a") -> Utterance:
    speaker = f"{language}_x_{speaker}"
    return Utterance(f"{speaker}_{key}", "a.wav", text, text, language, speaker, "x")


def test_overlap_is_of_one_language_and_counts_every_utterance() -> None:
    training = [utterance("1", "ja"), utterance("2", "no", "es"), utterance("3", "nein")]
    test = [utterance("4", "ja"), utterance("5", "ja", speaker="b"), utterance("6", "no")]
    spanish = [utterance("7", "no", "es", "unknown")]
    german, other = sentence_overlap(training, {"test": test, "ood": spanish})
    assert (german.set_name, german.domain, german.language) == ("test", "x", "de")
    assert german.in_training == ("de_x_a_4", "de_x_b_5") and german.utterances == 3
    assert german.speakers == 1 and german.percent == pytest.approx(200 / 3)
    assert other.in_training == ("es_x_unknown_7",) and other.speakers == 0
    assert sentence_overlap([], {"test": test})[0].in_training == ()


def test_sets_of_several_corpora(tmp_path: Path) -> None:
    corpora = write_corpora(tmp_path / "corpora")
    done = command(
        "prepare_sets",
        "--train", "mls:train", "--dev", "mls:dev", "--test", "mls:test",
        "--ood", "fleurs:test", "voxpopuli:test", "commonvoice:test", "--languages", "es,fr",
        "--data_root", corpora, "--output_dir", tmp_path / "data", "--train_limit", 3,
        "--download_dir", tmp_path / "downloads",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert not (tmp_path / "downloads").exists()
    sets = {name: read_data_dir(tmp_path / "data" / name) for name in ("train", "test", "ood")}
    assert {name: len(utterances) for name, utterances in sets.items()} == {
        "train": 2 * 3, "test": 2 * 2, "ood": 2 * 3 * 2,
    }  # fmt: skip
    assert {u.domain for u in sets["ood"]} == {"commonvoice", "fleurs", "voxpopuli"}
    overlap = {
        (entry["set_name"], entry["domain"], entry["language"]): len(entry["in_training"])
        for entry in read_json(tmp_path / "data/overlap.json")
    }
    texts = {(u.language, u.text) for u in sets["train"]}
    for (name, domain, language), count in overlap.items():
        if name != "dev":
            own = [u for u in sets[name] if (u.domain, u.language) == (domain, language)]
            assert count == sum((language, u.text) in texts for u in own)
    assert overlap["test", "mls", "fr"] == 1 and overlap["ood", "fleurs", "fr"] == 0
    assert "test  mls               fr            2          1 50.0 %" in done.stdout
    assert "utterances: train 6, dev 4, test 4, ood 12" in done.stdout
    for name in ("mls", "fleurs", "voxpopuli", "commonvoice"):
        assert LICENCES[name] in done.stdout
    log = read_json(tmp_path / "data/prep_log.json")
    assert log["sets"]["ood"]["by_set"]["voxpopuli es"] == 2
    assert [entry["corpus"] for entry in log["corpora"]][:2] == ["mls train", "mls train"]


def test_a_language_without_an_out_of_domain_set_is_named(tmp_path: Path) -> None:
    texts = {"1_2_000000": "bom dia"}
    for subset in ("train", "dev", "test"):
        write_mls(tmp_path / "mls", "mls_portuguese", subset, texts)
    write_fleurs(tmp_path / "fleurs", "pt_br", "test", [("1", "1.wav", "Boa noite.")])
    options = ["--train", "mls:train", "--dev", "mls:dev", "--test", "mls:test", "--ood"]
    options += ["fleurs:test", "librispeech:test-clean", "--languages", "pt,en"]
    done = command(
        "prepare_sets", *options, "--data_root", tmp_path, "--output_dir", tmp_path / "data"
    )
    assert "librispeech is not in 'pt': no out-of-domain set of it" in done.stdout
    assert done.status == 1 and "mls_english: no such directory, nor with _opus" in done.stderr


@pytest.mark.parametrize(
    ("sources", "languages", "need_all", "message"),
    [
        (["mlss:test"], ["de"], True, "the house has no corpus 'mlss'; it has: commonvoice, fl"),
        (["mls:tset"], ["de"], True, "mls has no subset 'tset'; it has: dev, test, train, train_1"),
        (["mls"], ["de"], True, "mls has no subset ''; it has: dev"),
        (["voxpopuli:test"], ["de", "pt"], True, "voxpopuli has no language 'pt'; it has: cs, de"),
        (["voxpopuli:test"], ["pt"], False, "voxpopuli has no language 'pt'"),
    ],
)
def test_what_no_corpus_has(sources, languages, need_all: bool, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_parts(sources, languages, need_all)


def test_every_corpus_has_a_licence_and_takes_one_id_once(tmp_path: Path) -> None:
    assert PUBLISHED.keys() == LICENCES.keys()
    for name in ("a", "b"):
        write_data_dir(tmp_path / name, [utterance("1", "ja")])
    with pytest.raises(UserError, match="utterance 'de_x_a_1' comes twice"):
        pool_sets({"train": [tmp_path / "a", tmp_path / "b"]}, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_one_corpus_by_the_command_line(tmp_path: Path) -> None:
    write_librispeech(tmp_path, "test-clean", {"61-70968": ["HE BEGAN", "SO"]})
    words = ("prepare_corpus", "--language", "en", "--corpus_dir", tmp_path)
    words += ("--output_dir", tmp_path / "out", "--corpus")
    done = command(*words, "librispeech", "--subset", "test-clean")
    assert done.stdout == f"{tmp_path / 'out'}: 2 utterances, 0.6 s\n", done.stderr
    done = command(*words, "librispeech")
    assert done.status == 1 and "--corpus librispeech needs a subset; give one" in done.stderr
    done = command(*words, "drascula", "--subset", "test")
    assert done.status == 1 and "--corpus drascula has no subset; leave it out" in done.stderr


@pytest.mark.parametrize("name", NEW_RECIPES)
def test_data_sh(name: str, tmp_path: Path) -> None:
    script = ROOT / "egs2" / name / "slm1/local/data.sh"
    done = run("bash", script, "--help")
    assert done.status == 0 and "--data_root DIR" in done.stdout
    # Of every corpus an empty directory: the first one is missed, and nothing is fetched.
    for corpus in PUBLISHED:
        (tmp_path / corpus).mkdir()
    done = run("bash", script, "--data_root", tmp_path, cwd=tmp_path)
    assert done.status == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"error: {tmp_path}/") and "; " in done.stderr
    assert not (tmp_path / "downloads").exists() and not (tmp_path / "data/train").exists()


def test_data_sh_of_multi_domain_refuses_another_corpus(tmp_path: Path) -> None:
    script = ROOT / "egs2/multi_domain/slm1/local/data.sh"
    done = run("bash", script, "--corpus", "fleurs", cwd=tmp_path)
    assert done.status == 1
    assert done.stderr == (
        "error: --corpus fleurs: no such corpus to train on; choose mls or commonvoice\n"
    )
