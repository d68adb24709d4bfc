"""One object that says what the LLM reads around the speech, in training and everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from espnet_otreg.data.languages import DEFAULT, language_or_default
from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.directory import resolve_model
from espnet_otreg.slm.config import SPEECH, LLMConfig, PromptConfig
from espnet_otreg.slm.trained_languages import TrainedLanguages


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a local Hugging Face directory or a hub name.

    Raises:
        UserError: if there is none.
    """
    from transformers import AutoTokenizer

    directory = resolve_model(model)
    try:
        return AutoTokenizer.from_pretrained(directory)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no tokenizer could be loaded ({str(error).strip().splitlines()[0].rstrip('.')})",
            model,
            "give the directory of a model (tools/fetch_model.py makes one) or a hub name",
        ) from error


def encode_transcript(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a transcript, without BOS and EOS: the only way in which text becomes ids."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def find_anchor(tokenizer: Any, config: LLMConfig) -> int:
    """Token id of the anchor (silence in OTReg, blank in CTC).

    It is the LLM's pad token where that is distinct from BOS and EOS, else the token that the
    configuration reserves: pulling silence to EOS would teach the LLM to stop.

    Raises:
        UserError: if there is neither.
    """
    if config.anchor_token is not None:
        identity = tokenizer.convert_tokens_to_ids(config.anchor_token)
        if identity is not None and identity != tokenizer.unk_token_id:
            return int(identity)
        raise UserError(
            f"the LLM has no token {config.anchor_token!r}",
            "llm_conf.anchor_token",
            "name one of its reserved tokens",
        )
    pad = tokenizer.pad_token_id
    if pad is None or pad in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        raise UserError(
            "the LLM's pad token is missing or equals BOS or EOS, so it cannot stand for silence",
            config.model,
            "name an unused token of it in llm_conf.anchor_token",
        )
    return int(pad)


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


def _render(tokenizer: Any, template: str, chat: bool) -> tuple[str, str]:
    """The text before and after the speech."""
    if chat:
        if not tokenizer.chat_template:
            raise UserError("the LLM has no chat template", "prompt_conf.chat", "set it to false")
        template = tokenizer.apply_chat_template(
            [{"role": "user", "content": template}], tokenize=False, add_generation_prompt=True
        )
    before, after = template.split(SPEECH)
    return before, after


def build_prompt(
    config: PromptConfig, tokenizer: Any, generation_eos: int | Sequence[int] | None
) -> Prompt:
    """Tokenise the prompts of all languages once.

    Args:
        config: templates per language.
        tokenizer: of the LLM.
        generation_eos: ``eos_token_id`` of the LLM's generation configuration.

    Raises:
        UserError: if the LLM has no EOS token or a stop token does not exist.
    """
    if tokenizer.eos_token_id is None:
        raise UserError("the LLM's tokenizer has no EOS token", "llm_conf.model", "use another LLM")
    before: dict[str, tuple[int, ...]] = {}
    after: dict[str, tuple[int, ...]] = {}
    for language, template in config.by_language().items():
        texts = _render(tokenizer, template, config.chat)
        ids = [encode_transcript(tokenizer, text) if text else [] for text in texts]
        bos = tokenizer.bos_token_id
        if bos is not None and ids[0][:1] != [bos]:
            ids[0] = [bos, *ids[0]]
        before[language], after[language] = tuple(ids[0]), tuple(ids[1])
    own = [generation_eos] if isinstance(generation_eos, int) else list(generation_eos or [])
    named = [_single_id(tokenizer, token, "prompt_conf.stop") for token in config.stop]
    eos = int(tokenizer.eos_token_id)
    if config.chat and own:
        eos = own[0]  # an instruction-tuned LLM ends its turn with this one
    stop_ids = tuple(dict.fromkeys([eos, *own, *named]))
    return Prompt(before, after, eos, stop_ids, config.positions == "restart")
