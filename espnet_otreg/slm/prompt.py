"""One object that says what the LLM reads around the speech, in training and everywhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from espnet_otreg.data.languages import DEFAULT, language_or_default
from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.directory import resolve_model
from espnet_otreg.models_offline.pretrained import reading
from espnet_otreg.slm.config import SPEECH, LLMConfig, PromptConfig
from espnet_otreg.slm.llm_files import no_row
from espnet_otreg.slm.trained_languages import TrainedLanguages

_PRINTED_LIST = ("'type': 'text'", '"type": "text"', '"type":"text"')
_TODAY = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<form>.*?)(?P=quote)\s*\)")
_DAY = date(2024, 7, 26)  # that of Llama 3.2's own chat template where none is told


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a local Hugging Face directory or a hub name.

    Raises:
        UserError: if there is none.
    """
    from transformers import AutoTokenizer

    directory = resolve_model(model)
    with reading("tokenizer", model):
        return AutoTokenizer.from_pretrained(directory)


def encode_transcript(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a transcript, without BOS and EOS: the only way in which text becomes ids."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def find_anchor(tokenizer: Any, config: LLMConfig, rows: int | None) -> int:
    """Token id of the anchor (silence in OTReg, blank in CTC).

    It is the LLM's pad token where that is distinct from BOS and EOS, else the token that the
    configuration reserves: pulling silence to EOS would teach the LLM to stop.

    Args:
        tokenizer: of the LLM.
        config: may name the token.
        rows: of the embedding table, if they are known.

    Raises:
        UserError: if there is neither, or the table has no row for it.
    """
    name, mend = config.anchor_token, "name one of its reserved tokens"
    identity = tokenizer.pad_token_id
    if name is not None:
        identity = tokenizer.convert_tokens_to_ids(name)
        if identity is None or identity == tokenizer.unk_token_id:
            raise UserError(f"the LLM has no token {name!r}", "llm_conf.anchor_token", mend)
    elif identity is None or identity in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        raise UserError(
            "the LLM's pad token is missing or equals BOS or EOS, so it cannot stand for silence",
            config.model,
            "name an unused token of it in llm_conf.anchor_token",
        )
    if rows is not None and identity >= rows:
        token = str(name or tokenizer.pad_token)
        raise UserError(no_row(token, identity, rows), "llm_conf.anchor_token", mend)
    return int(identity)


def check_vocabulary(tokenizer: Any, rows: int, model: str) -> None:
    """Find tokens that text can become and that the embedding table has no row for.

    Special tokens without a row are fine as long as nothing uses them: Gemma's tokenizer has one
    for images, the models that only read have no row for it.

    Raises:
        UserError: naming the first such token.
    """
    if len(tokenizer) <= rows:
        return
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = {identity: token for token, identity in tokenizer.get_vocab().items()}
    beyond = sorted(i for i in ids if i >= rows and i not in special)
    if beyond:
        raise UserError(
            f"{no_row(ids[beyond[0]], beyond[0], rows)}",
            model,
            "give the tokenizer and the weights of one model; tokens that were added need "
            "resize_token_embeddings before the model is saved",
        )


@dataclass(frozen=True)
class Prompt:
    """Token ids before and after the speech per language, and the tokens that end a transcript.

    Attributes:
        before: language -> ids before the speech, BOS included where the LLM has one.
        after: language -> ids between the speech and the transcript.
        eos_id: the token that ends every training transcript.
        stop_ids: tokens that end a hypothesis; ``eos_id`` is one of them.
        restart: whether positions start anew behind the speech.
        trained: what the model was trained for; None while it is being trained.
    """

    before: dict[str, tuple[int, ...]]
    after: dict[str, tuple[int, ...]]
    eos_id: int
    stop_ids: tuple[int, ...]
    restart: bool = False
    trained: TrainedLanguages | None = None

    def around(self, language: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids before and after the speech; in training an unnamed language gets the default.

        Args:
            language: as :func:`espnet_otreg.data.languages.canonical_language` takes it, or
                ``default`` where nobody named one.

        Raises:
            UserError: if it is no language, or a trained model was not trained for it.

        >>> prompt = Prompt({"default": (1,), "it": (3,)}, {"default": (), "it": ()}, 2, (2,))
        >>> prompt.around("de"), prompt.around("ITA")
        (((1,), ()), ((3,), ()))
        """
        code = language_or_default(language)
        key = code if code in self.before else DEFAULT
        if self.trained is not None:
            key = self.trained.prompt_of(code)
        return self.before[key], self.after[key]

    def as_json(self) -> dict[str, Any]:
        """The tokens, as a packed model keeps them in ``prompt.json``."""
        fields = asdict(replace(self, trained=None))
        del fields["trained"]
        return fields


def _single_id(tokenizer: Any, token: str, where: str) -> int:
    identity = tokenizer.convert_tokens_to_ids(token)
    if identity is None or identity == tokenizer.unk_token_id:
        raise UserError(f"the LLM has no token {token!r}", where, "name one of its tokens")
    return int(identity)


def _on_one_day(chat_template: str) -> str:
    """A chat template that tells the LLM the date would change the prompt every day."""
    return _TODAY.sub(lambda call: repr(_DAY.strftime(call["form"])), chat_template)


def _in_chat(tokenizer: Any, template: str, where: str) -> str:
    """The text of a user's message in the LLM's own chat template.

    Some templates want the content as a list of parts, so that is tried too.
    """
    if not tokenizer.chat_template:
        raise UserError("the LLM has no chat template", "prompt_conf.chat", "set it to false")
    faults = []
    for content in (template, [{"type": "text", "text": template}]):
        try:
            text: str = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                tokenize=False,
                add_generation_prompt=True,
                chat_template=_on_one_day(tokenizer.get_chat_template()),
            )
        except Exception as error:  # it is somebody's program, which may raise anything
            faults.append(f"refuses the prompt ({' '.join(str(error).split())})")
            continue
        if isinstance(content, list) and any(mark in text for mark in _PRINTED_LIST):
            continue  # the list itself was printed
        if text.count(SPEECH) == 1 and text.count(template.strip()) == 1:
            return text
        kept = template.strip() in text
        faults.append("repeats the prompt" if kept else "drops the prompt or changes its text")
    raise UserError(f"the LLM's chat template {faults[0]}", where, "set prompt_conf.chat to false")


def _end_of_turn(tokenizer: Any, ends: Sequence[int]) -> int:
    """The token of ``ends`` that the chat template puts behind an answer; the first if none.

    Lists of end tokens have no order: Gemma's begins with ``<eos>``, Llama 3's with
    ``<|end_of_text|>``, and both end a turn with another.
    """
    answer = "press one"
    turns = [{"role": "user", "content": answer}, {"role": "assistant", "content": answer}]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception:  # a template for other content
        return ends[0]
    behind = encode_transcript(tokenizer, text.rpartition(answer)[2])
    return next((identity for identity in behind if identity in ends), ends[0])


def _with_bos(ids: list[int], bos: int | None, chat: bool) -> list[int]:
    """One BOS in front; a chat template that has placed its own is left as it is."""
    if bos is None or (chat and ids[:1] != [bos] and bos in ids):
        return ids
    while ids[:1] == [bos]:
        ids = ids[1:]
    return [bos, *ids]


def build_prompt(
    config: PromptConfig, tokenizer: Any, generation_eos: int | Sequence[int] | None
) -> Prompt:
    """Tokenise the prompts of all languages once.

    Args:
        config: templates per language.
        tokenizer: of the LLM.
        generation_eos: ``eos_token_id`` of the LLM's generation configuration.

    Raises:
        UserError: if the LLM has no EOS token, a stop token does not exist, or the chat template
            does not put the prompt into words.
    """
    if tokenizer.eos_token_id is None:
        raise UserError("the LLM's tokenizer has no EOS token", "llm_conf.model", "use another LLM")
    before: dict[str, tuple[int, ...]] = {}
    after: dict[str, tuple[int, ...]] = {}
    for language, template in config.by_language().items():
        if config.chat:
            template = _in_chat(tokenizer, template, f"prompt_conf.templates.{language}")
        texts = template.split(SPEECH)
        ids = [encode_transcript(tokenizer, text) if text else [] for text in texts]
        before[language] = tuple(_with_bos(ids[0], tokenizer.bos_token_id, config.chat))
        after[language] = tuple(ids[1])
    own = [generation_eos] if isinstance(generation_eos, int) else list(generation_eos or [])
    named = [_single_id(tokenizer, token, "prompt_conf.stop") for token in config.stop]
    eos = int(tokenizer.eos_token_id)
    if config.chat and own:
        # What an instruction-tuned LLM ends its turn with.
        eos = _end_of_turn(tokenizer, (*own, eos))
    stop_ids = tuple(dict.fromkeys([eos, *own, *named]))
    return Prompt(before, after, eos, stop_ids, config.positions == "restart")


def check_rows(prompt: Prompt, tokenizer: Any, rows: int) -> None:
    """Find tokens of a prompt or of its end that the embedding table has no row for.

    Raises:
        UserError: naming the first such token.
    """
    places = {
        f"prompt_conf.templates.{language}": (*prompt.before[language], *prompt.after[language])
        for language in prompt.before
    }
    ends = "prompt_conf.stop, or eos_token_id of the LLM's tokenizer or generation_config.json"
    for where, ids in {**places, ends: (prompt.eos_id, *prompt.stop_ids)}.items():
        for identity in ids:
            if not 0 <= identity < rows:
                token = tokenizer.convert_ids_to_tokens(identity) if identity >= 0 else ""
                raise UserError(
                    no_row(str(token or ""), identity, rows), where, "name a token with a row"
                )
