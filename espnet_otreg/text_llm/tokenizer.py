"""A small SentencePiece tokenizer of one's own, loadable by ``AutoTokenizer``.

A small vocabulary means that every CTC class occurs often in a few hours of speech, and one
language token per language makes the prompt one token long.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write

UNK_ID, BOS_ID, EOS_ID, PAD_ID = range(4)
SPECIAL_TOKENS = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"} | {
    "pad_token": "<pad>"
}
MODEL_NAME = "tokenizer.model"


def language_token(language: str) -> str:
    """The one-token prompt of a language.

    >>> language_token("it")
    '<it>'
    """
    return f"<{language}>"


def train_sentencepiece(
    sentences: Sequence[str],
    languages: Sequence[str],
    vocabulary_size: int,
    required_characters: str = "",
) -> bytes:
    """Train a unigram SentencePiece model; the same input gives the same model.

    Args:
        sentences: normalised text.
        languages: each gets a reserved token.
        vocabulary_size: pieces, the reserved ones included.
        required_characters: characters that get a piece however rare they are.

    Raises:
        UserError: if the text does not allow so many, or so few, pieces.

    Returns:
        The content of a ``.model`` file.

    >>> train_sentencepiece(["attendere prego"], ["it"], 100_000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: vocabulary_size: a vocabulary of 100000 pieces ...
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=vocabulary_size,
            model_type="unigram",
            character_coverage=0.9999,
            required_chars="".join(sorted(set(required_characters) - {" "})),
            normalization_rule_name="identity",  # the text is normalised already
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            pad_id=PAD_ID,
            control_symbols=[language_token(language) for language in languages],
            num_threads=1,  # more threads, other sums, another model
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"a vocabulary of {vocabulary_size} pieces cannot be trained ({reason})",
            "vocabulary_size",
            "choose another size or give more text",
        ) from error
    return model.getvalue()


def save_tokenizer(model: bytes, languages: Sequence[str], directory: Path) -> None:
    """Write the SentencePiece model and the same segmentation as a transformers tokenizer.

    Args:
        model: what :func:`train_sentencepiece` returned.
        languages: as given there.
        directory: gets ``tokenizer.model``, ``tokenizer.json`` and ``tokenizer_config.json``.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    scored = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=UNK_ID, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    with atomic_write(directory / MODEL_NAME, "wb") as file:
        file.write(model)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        additional_special_tokens=[language_token(language) for language in languages],
        clean_up_tokenization_spaces=False,
        **SPECIAL_TOKENS,
    ).save_pretrained(directory)


def load_sentencepiece(directory: Path) -> Any:
    """The SentencePiece processor of a directory made by :func:`save_tokenizer`.

    It can sample segmentations, which the transformers tokenizer cannot.

    Raises:
        UserError: if there is none.
    """
    import sentencepiece

    path = directory / MODEL_NAME
    if not path.is_file():
        raise UserError("no SentencePiece model", str(path), "run stage 5 (llm) again")
    return sentencepiece.SentencePieceProcessor(model_file=str(path))
