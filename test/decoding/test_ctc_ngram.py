"""CTC with a word n-gram: what KenLM reads, what the search finds, what dev chooses."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from espnet_otreg.bin import train_ngram
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.decoding.ctc import prefix_beam_search
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.run import decode_sets
from espnet_otreg.decoding.tokens import TokenMaps
from espnet_otreg.decoding.word_ngram import FusedNGram, WordNGram
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import read_json

SENTENCES = ["premere uno adesso", "attendere prego", "premere due", "premere uno", "prego"]


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory, tiny_slm: Path) -> Path:
    """Of all languages of the tiny corpus, the Italian one with more text."""
    root = tmp_path_factory.mktemp("ngram")
    (root / "it.txt").write_text("".join(f"{line}\n" for line in SENTENCES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [
            "train_ngram", "--data_dir", str(tiny_slm.parent / "features"), "--corpus", str(root),
            "--output", str(root / "out"), "--order", "3",
        ])  # fmt: skip
        train_ngram.main()
    return root / "out"


def test_kenlm_reads_a_distribution_behind_every_history(ngrams: Path) -> None:
    import kenlm

    model = kenlm.Model(str(ngrams / "it.arpa"))
    words = sorted({word for line in SENTENCES for word in line.split()})
    vocabulary = [line.split("\t")[1] for line in (ngrams / "it.arpa").read_text().split("\\2-")[0]
                  .splitlines() if "\t" in line and "<s>" not in line]  # fmt: skip
    for length in range(3):
        for history in itertools.product([*words[:4], "mai"], repeat=length):
            state, following = kenlm.State(), kenlm.State()
            model.BeginSentenceWrite(state)
            for word in history:
                model.BaseScore(state, word, following)
                state, following = following, state
            total = sum(10 ** model.BaseScore(state, word, following) for word in vocabulary)
            assert total == pytest.approx(1, abs=1e-4), history
    assert model.score("premere uno adesso") > model.score("adesso uno premere")


def test_an_exhaustive_beam_ranks_by_ctc_and_kenlm(tiny_model: Any, ngrams: Path) -> None:
    import kenlm

    maps, weights = TokenMaps(tiny_model), JointWeights(0.0, 0.7, 0.9)
    torch.manual_seed(0)
    log_probs = torch.full((6, len(maps.readout.class_ids)), -30.0)
    log_probs[:, :9] = 2 * torch.randn(6, 9)
    log_probs = log_probs.log_softmax(-1)
    fused = FusedNGram(WordNGram(ngrams / "it.arpa", "it"), maps, weights)
    found = prefix_beam_search(log_probs.exp(), 100_000, 30, classes_per_frame=50, fused=fused)
    model, scores = kenlm.Model(str(ngrams / "it.arpa")), []
    for prefix, ctc in found:
        # Word by word, without the last one, which may go on.
        *words, last = maps.text_of(maps.tokens_of(prefix)).split() or [""]
        state, following, total = kenlm.State(), kenlm.State(), 0.0
        model.BeginSentenceWrite(state)
        for word in words:
            total += model.BaseScore(state, word, following)
            state, following = following, state
        known = [word for line in SENTENCES for word in line.split()]
        if last and not any(word.startswith(last) for word in known + _words(ngrams)):
            total += model.BaseScore(state, "<unk>", following)
        scores.append(ctc + 0.9 * math.log(10) * total + 0.7 * len(words))
    assert scores == sorted(scores, reverse=True) and len(scores) == 30


def _words(ngrams: Path) -> list[str]:
    lines = (ngrams / "it.arpa").read_text().split("\\2-grams:")[0].splitlines()
    return [line.split("\t")[1] for line in lines if "\t" in line]


def test_words_begin_where_a_space_is_written(tiny_model: Any) -> None:
    maps = TokenMaps(tiny_model)
    pieces = tiny_model.llm.tokenizer.convert_ids_to_tokens(maps.readout.class_ids.tolist())
    assert maps.begins_word[1:] == [piece.startswith("▁") for piece in pieces[1:]]


def test_the_mode_decodes_with_weights_from_dev(
    tiny_slm: Path, ngrams: Path, tmp_path: Path
) -> None:
    features = tiny_slm.parent / "features"
    options = {"ngram": str(ngrams), "weights_dev": str(features)}
    modes = configure_modes(["ctc", "ctc_ngram"], options)
    decode_sets(str(tiny_slm), [str(features)], modes, str(tmp_path), batch_size=3)
    references = read_table(features / "text")

    def right(mode: str) -> int:
        text = read_table(tmp_path / mode / "features/text")
        return sum(text[key] == reference for key, reference in references.items())

    assert right("ctc_ngram") >= right("ctc") > 0
    chosen = read_json(tmp_path / "ctc_ngram/features/ctc_ngram.json")
    status = read_json(tmp_path / "ctc_ngram/features/status.json")
    assert status["ctc_ngram_weights"]["prior_weight"] == chosen["prior_weight"]
    assert chosen["weight"] == chosen["search"]["weight"] == 0.0
    assert chosen["oracle_error_rate"] <= chosen["macro_error_rate"]


def test_without_n_grams_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="mode 'ctc_ngram': needs --ngram"):
        configure_modes(["ctc_ngram"])
    with pytest.raises(UserError, match=r"no n-gram of this language.*train_ngram"):
        WordNGram(tmp_path / "it.arpa", "it")
