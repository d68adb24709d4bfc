"""Train the mini LLM and its tokenizer on text alone (stage 5)."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.files import (
    flush_tree,
    lock_directory,
    publish_directory,
    read_json,
    require_name,
    write_json,
)
from espnet_otreg.precision import DTYPES, settled_precision
from espnet_otreg.progress import Progress
from espnet_otreg.shards import fingerprint_of
from espnet_otreg.slm.checkpoint import load_checkpoint, save_checkpoint
from espnet_otreg.text_llm.batches import BatchMaker
from espnet_otreg.text_llm.reading import ReadingTest, make_reading_test
from espnet_otreg.text_llm.settings import Sentence, TextLLMSettings, check_languages
from espnet_otreg.text_llm.tokenizer import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    load_sentencepiece,
    save_tokenizer,
    train_sentencepiece,
)
from espnet_otreg.text_llm.working_copy import WorkingCopy

_WARMUP_STEPS = 100
_STEPS_PER_CHECKPOINT = 200
_TEXTS_PER_LANGUAGE = 6000  # for the tokenizer
_LEAST_KEPT = 10  # times as much text as is held out, or nothing is
_STEPS_PER_TEST = 5 * _STEPS_PER_CHECKPOINT
_PRECISION = "precision.json"
_MADE_FROM = "made_from.json"  # beside what an interrupted training leaves


def build_llm(settings: TextLLMSettings, vocabulary_size: int, seed: int) -> Any:
    """A Llama-layout causal LM with random, nearly orthogonal tied embeddings of unit norm.

    >>> build_llm(TextLLMSettings(layers=1), 300, 0).config.hidden_size
    256
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.hidden_size * 8 // 3 // 32 * 32,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    model: Any = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # for short sequences faster than the fused kernels
    # The table stays as it is: nearly orthogonal rows (the pad token's too, which is the anchor)
    # make good CTC classes, while trained ones gather around a common direction, from which the
    # projector learns several times more slowly.
    table = model.get_input_embeddings().weight
    torch.nn.init.normal_(table, std=settings.hidden_size**-0.5)
    table.requires_grad_(False)
    return model


def _optimizer(model: Any, settings: TextLLMSettings) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim == 2]
    others = [p for p in trained if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.learning_rate, betas=(0.9, 0.98))


def _rate(step: int, done: float) -> float:
    """Share of the maximal learning rate: linear warm-up, cosine decay."""
    return min(1.0, (step + 1) / _WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _train(
    model: Any,
    maker: BatchMaker,
    sentences: Sequence[Sentence],
    settings: TextLLMSettings,
    checkpoint: Path,
    test: ReadingTest | None,
) -> None:
    precision = settled_precision(settings.precision, "cpu", checkpoint.with_name(_PRECISION))
    precision.use_threads()
    optimizer = _optimizer(model, settings)
    table = model.get_input_embeddings().weight
    step = read = 0
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint)
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            step, read = state["step"], state["read"]
        except (KeyError, ValueError, RuntimeError) as error:
            raise _left_by_another(checkpoint.parent) from error
        # Other random numbers than the interrupted run's: repeating its first batches would
        # teach the same sentences twice.
        maker.rng.seed(step)
        maker.generator.manual_seed(step)
    model.train()
    dtype = DTYPES[precision.dtype]
    working = WorkingCopy(model, dtype)
    progress = Progress("train LLM", settings.positions - read, "positions")
    started, smooth = time.monotonic(), float("nan")
    for group in maker.groups(sentences):
        done = read / settings.positions
        if done >= 1:
            break
        for parameters in optimizer.param_groups:
            parameters["lr"] = settings.learning_rate * _rate(step, done)
        copies = max(0.0, settings.random_copy_share * (1 - 2 * done))
        batch = maker.batch(group, table, copies, noise=min(1.0, 0.1 + 2 * done))
        predicts = batch.labels >= 0
        network = working.network
        hidden = network.get_decoder()(
            inputs_embeds=batch.inputs.to(dtype),
            position_ids=batch.positions,
            # Without a mask, positions that start anew would be taken for packed sequences.
            attention_mask=torch.ones_like(batch.positions),
        ).last_hidden_state[predicts]
        logits = network.get_output_embeddings()(hidden)
        loss = F.cross_entropy(logits.float(), batch.labels[predicts])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        working.hand_over_gradients()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        working.take_over_weights()
        value = float(loss.detach())
        smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
        step += 1
        read += batch.labels.numel()
        progress.advance(batch.labels.numel())
        if step % _STEPS_PER_CHECKPOINT == 0:
            reads = _reads(test, model, maker, table) if step % _STEPS_PER_TEST == 0 else ""
            print(f"step {step}, cross-entropy {smooth:.3f}{reads}", flush=True)
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_checkpoint(checkpoint, {**state, "step": step, "read": read})
    progress.close()
    seconds = time.monotonic() - started
    reads = _reads(test, model, maker, table)
    print(f"{step} steps, {seconds:.0f} s, cross-entropy {smooth:.3f}{reads}", flush=True)


def _reads(test: ReadingTest | None, model: Any, maker: BatchMaker, table: Tensor) -> str:
    if test is None:
        return ""
    rate = test.read(model, maker.pieces, table)
    return (
        f"; {len(test.sources)} unseen sentences read with WER {rate:.1f} %, of which simulated "
        f"CTC had {test.word_error_rate:.1f} %"
    )


def hold_out(
    corpus: dict[str, list[str]], transcripts: Collection[Sentence], settings: TextLLMSettings
) -> tuple[dict[str, list[str]], list[Sentence]]:
    """Take sentences of three words and more out of the text, evenly over each language's.

    Returns:
        The rest of the text, and what was taken; nothing of a language with little text.

    >>> settings = TextLLMSettings(held_out=1)
    >>> rest, held = hold_out({"en": [f"number {n} is here" for n in range(20)]}, (), settings)
    >>> len(rest["en"]), held[0].text
    (19, 'number 0 is here')
    """
    known = set(transcripts)
    rest, held = dict(corpus), list[Sentence]()
    for language, texts in corpus.items():
        fit = [
            text
            for text in texts
            if 3 <= len(text.split()) <= settings.max_words
            and Sentence(text, language) not in known
        ]
        if not settings.held_out or len(fit) < _LEAST_KEPT * settings.held_out:
            continue
        chosen = fit[:: len(fit) // settings.held_out][: settings.held_out]
        held += [Sentence(text, language) for text in chosen]
        taken = set(chosen)
        rest[language] = [text for text in texts if text not in taken]
    return rest, held


def select_sentences(
    transcripts: Sequence[Sentence], corpus: dict[str, list[str]], settings: TextLLMSettings
) -> list[Sentence]:
    """Free text and repeated training transcripts, short ones only.

    >>> settings = TextLLMSettings(transcript_repeats=2, sentences_per_language=1)
    >>> found = select_sentences([Sentence("a", "en")], {"en": ["b", "c"]}, settings)
    >>> [sentence.text for sentence in found]
    ['b', 'a', 'a']
    """
    short = {
        language: [text for text in texts if len(text.split()) <= settings.max_words]
        for language, texts in corpus.items()
    }
    chosen = [
        Sentence(text, language)
        for language, texts in short.items()
        # Evenly over the corpus, whose packages differ in kind.
        for text in texts[:: max(1, len(texts) // settings.sentences_per_language)][
            : settings.sentences_per_language
        ]
    ]
    return chosen + list(transcripts) * settings.transcript_repeats


def _left_by_another(work: Path) -> UserError:
    what = "a training of other text or settings was interrupted here"
    return UserError(what, str(work), "remove it to begin anew")


def _check_left(work: Path, fingerprint: str) -> None:
    """Note what a training is made from, or compare it with what an interrupted one has noted."""
    if not (work / _MADE_FROM).is_file():
        write_json(work / _MADE_FROM, fingerprint)
    elif read_json(work / _MADE_FROM) != fingerprint:
        raise _left_by_another(work)


def train_text_llm(
    transcripts: Sequence[Sentence],
    corpus: dict[str, list[str]],
    settings: TextLLMSettings,
    directory: Path,
    seed: int = 0,
) -> None:
    """Train tokenizer and LLM; the directory appears whole, an interrupted training goes on.

    Args:
        transcripts: of the training set only.
        corpus: free text per language.
        settings: sizes, lengths and noise.
        directory: becomes a Hugging Face model directory.
        seed: of initialisation, order and noise.

    Raises:
        UserError: if there are no transcripts, a language is unknown, or what an interrupted
            training has left is damaged, or is of other text, settings or seed.
    """
    directory = require_name(directory)
    check_languages((sentence.language for sentence in transcripts), settings)
    if (directory / "config.json").is_file():
        return
    work = directory.with_name(f"{directory.name}.partial")
    with lock_directory(work):
        said = [dataclasses.astuple(sentence) for sentence in transcripts]
        _check_left(work, fingerprint_of(dataclasses.asdict(settings), seed, said, corpus))
        rest, held = hold_out(corpus, transcripts, settings)
        sentences = select_sentences(transcripts, rest, settings)
        if not (work / "tokenizer.json").is_file():
            texts = [s.text for s in transcripts]
            for lines in corpus.values():
                texts += lines[:: max(1, len(lines) // _TEXTS_PER_LANGUAGE)]
            required = "".join(s.text for s in transcripts)
            pieces = train_sentencepiece(
                texts, settings.languages, settings.vocabulary_size, required
            )
            save_tokenizer(pieces, settings.languages, work)
        processor = load_sentencepiece(work)
        model = build_llm(settings, len(processor), seed)
        maker = BatchMaker(processor, settings, seed)
        table = model.get_input_embeddings().weight.detach()
        test = make_reading_test(maker, held, table, seed) if held else None
        _train(model, maker, sentences, settings, work / "checkpoint.pth", test)
        model.eval().save_pretrained(work)
        (work / "checkpoint.pth").unlink(missing_ok=True)
        for name in (_MADE_FROM, _PRECISION):
            (work / name).unlink(missing_ok=True)
        (work / ".lock").unlink()
        flush_tree(work)
        publish_directory(work, directory)
