"""What the LLM says and what it thinks of transcripts: alone and in batches, any architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llm import build_tiny_llm

from espnet_otreg.decoding.generation import generate
from espnet_otreg.decoding.greedy import greedy
from espnet_otreg.decoding.prefix import read_prefix
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.slm.assembly import LLMInput, assemble
from espnet_otreg.slm.config import LLMConfig, PromptConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings, mask_from_lengths
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt, build_prompt

LENGTHS = (7, 1, 12, 4)
LANGUAGES = ("it", "en", "it", "ru")
LIMITS = (9, 4, 14, 9)
TRANSCRIPTS = [[[20, 21, 22], [], [30]], [[25]], [[40, 41, 42, 43, 44]], [[9], [10, 11]]]


def _sizes(tokens: int) -> dict[str, Any]:
    return {
        "vocab_size": tokens, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip


def _other_architecture(directory: Path, name: str) -> Path:
    """The tiny tokenizer with a random Qwen3 or Gemma3 (sliding windows, scaled embeddings)."""
    import transformers

    build_tiny_llm(directory)
    tokens = len(transformers.AutoTokenizer.from_pretrained(directory))
    torch.manual_seed(0)
    if name == "qwen3":
        model: Any = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**_sizes(tokens)))
    else:
        config = transformers.Gemma3TextConfig(
            **_sizes(tokens), sliding_window=8, layer_types=["sliding_attention", "full_attention"]
        )
        model = transformers.Gemma3ForCausalLM(config)
    # Settings that a published model may bring along must not change the search.
    model.generation_config.repetition_penalty = 1.7
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.5)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module", params=["llama", "llama-restart", "qwen3", "gemma3"])
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LLM, Prompt]:
    name = request.param.split("-")[0]
    directory = tmp_path_factory.mktemp("llm") / name
    build_tiny_llm(directory) if name == "llama" else _other_architecture(directory, name)
    llm = LLM(LLMConfig(model=str(directory))).eval()
    config = PromptConfig(
        {"default": "{speech}", "it": "{speech}<it>"},
        positions="restart" if request.param.endswith("restart") else "continue",
    )
    return llm, build_prompt(config, llm.tokenizer, 2)


Inputs = Callable[[Sequence[int]], LLMInput]


@pytest.fixture(scope="module")
def inputs(reader: tuple[LLM, Prompt]) -> Inputs:
    """LLM inputs of the utterances that are named by number."""
    llm, prompt = reader
    torch.manual_seed(1)
    speech = [torch.randn(length, 32) for length in LENGTHS]

    def make(numbers: Sequence[int]) -> LLMInput:
        rows = [speech[n] for n in numbers]
        values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = mask_from_lengths(torch.tensor([len(r) for r in rows]), values.size(1))
        languages = [LANGUAGES[n] for n in numbers]
        embeddings = SpeechEmbeddings(values, mask, 0.06)
        with torch.inference_mode():
            return assemble(llm, prompt, embeddings, languages, padding_side="left")

    return make


def _greedy(reader: tuple[LLM, Prompt], inputs: Inputs, numbers: Sequence[int]) -> list[Any]:
    llm, prompt = reader
    prefix = read_prefix(llm, inputs(numbers))
    return greedy(prefix, prompt.stop_ids, [LIMITS[n] for n in numbers])


def test_log_probabilities_alone_and_in_a_batch_agree(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm, prompt = reader
    batch = transcript_log_probs(read_prefix(llm, inputs(range(4))), TRANSCRIPTS, prompt.eos_id)
    for n, several in enumerate(TRANSCRIPTS):
        for m, transcript in enumerate(several):
            prefix = read_prefix(llm, inputs([n]))
            alone = transcript_log_probs(prefix, [[transcript]], prompt.eos_id)
            assert batch[n][m] == pytest.approx(alone[0][0], abs=1e-4)


def test_log_probabilities_are_those_of_one_pass_without_a_cache(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm, prompt = reader
    for n, transcript in ((0, [20, 21, 22]), (1, [25]), (2, [])):
        one = inputs([n])
        token_ids = torch.tensor([transcript], dtype=torch.long)
        with torch.inference_mode():
            embedded = torch.cat([one.inputs_embeds, llm.embed(token_ids)], dim=1)
            after = one.position_ids[:, -1:] + torch.arange(1, len(transcript) + 1)
            logits = llm.model(
                inputs_embeds=embedded,
                attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
                position_ids=torch.cat([one.position_ids, after], dim=1),
            ).logits[0, -len(transcript) - 1 :]
        targets = torch.tensor([*transcript, prompt.eos_id])
        expected = logits.log_softmax(-1).gather(1, targets[:, None]).sum()
        found = transcript_log_probs(read_prefix(llm, one), [[transcript]], prompt.eos_id)
        assert found[0][0] == pytest.approx(float(expected), abs=1e-4)


def _margin(llm: LLM, one: LLMInput, tokens: Sequence[int]) -> float:
    """How far the two likeliest next tokens are apart behind ``tokens``."""
    reader = read_prefix(llm, one)
    if tokens:
        read = torch.tensor([list(tokens)])
        reader.read(read, torch.ones_like(read))
    with torch.inference_mode():
        best = llm.logits(reader.hidden)[0].log_softmax(-1).topk(2).values
    return float(best[0] - best[1])


def _differences(
    llm: LLM, inputs: Inputs, one: Sequence[Any], other: Sequence[Any]
) -> tuple[int, int]:
    """Hypotheses that differ, and those of them without a tie at the first difference."""
    differing = unexplained = 0
    for n, (a, b) in enumerate(zip(one, other, strict=True)):
        if a != b:
            differing += 1
            pairs = zip(a.token_ids, b.token_ids, strict=False)
            same = next((t for t, (x, y) in enumerate(pairs) if x != y), len(b.token_ids))
            unexplained += _margin(llm, inputs([n]), a.token_ids[:same]) >= 1e-4
    return differing, unexplained


def test_greedy_hypotheses_alone_and_in_a_batch_are_equal(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    batch = _greedy(reader, inputs, range(4))
    alone = [_greedy(reader, inputs, [n])[0] for n in range(4)]
    differing, unexplained = _differences(reader[0], inputs, batch, alone)
    assert unexplained == 0, f"{differing} hypotheses differ, {unexplained} without a tie"


@pytest.mark.parametrize("numbers", [[0], [2], [0, 1, 2, 3]])
def test_greedy_agrees_with_generate(
    reader: tuple[LLM, Prompt], inputs: Inputs, numbers: list[int]
) -> None:
    llm, prompt = reader
    own = _greedy(reader, inputs, numbers)
    limits = [LIMITS[n] for n in numbers]
    [*theirs] = (several[0] for several in generate(llm, inputs(numbers), prompt.stop_ids, limits))
    if numbers == [0, 1, 2, 3]:
        assert _differences(llm, inputs, own, theirs)[1] == 0
    else:
        assert own == theirs


def test_every_utterance_has_its_own_limit(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    for generated, limit in zip(_greedy(reader, inputs, range(4)), LIMITS, strict=True):
        assert len(generated.token_ids) <= limit
        assert generated.hit_limit == (len(generated.token_ids) == limit) or not generated.hit_limit
    llm, _ = reader
    never = [10**6]  # no such token: nothing ends a hypothesis
    for generated, limit in zip(
        greedy(read_prefix(llm, inputs(range(4))), never, LIMITS), LIMITS, strict=True
    ):
        assert len(generated.token_ids) == limit and generated.hit_limit


def test_a_beam_is_not_worse_than_greedy(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    llm, _ = reader
    prefix, last = read_prefix(llm, inputs([0, 3])), 6  # beams compete with one token more
    beams = generate(llm, inputs([0, 3]), [10**6], [last - 1] * 2, num_beams=4)
    single = greedy(prefix, [10**6], [last] * 2)
    for n, (several, one) in enumerate(zip(beams, single, strict=True)):
        ids = {g.token_ids for g in several}
        assert len(several) == 4 and all(len(tokens) == last - 1 for tokens in ids)
        reader_of_one = prefix.select(torch.tensor([n]))
        best_next = [_best_continuation(reader_of_one, tokens) for tokens in ids]
        assert max(best_next) >= _best_continuation(reader_of_one, one.token_ids[:-1]) - 1e-4


def _best_continuation(prefix: Any, tokens: Sequence[int]) -> float:
    """Log-probability of tokens and the likeliest one behind them."""
    scores = [
        transcript_log_probs(prefix, [[tokens]], end)[0][0]
        for end in range(prefix.llm.vocabulary_size)
    ]
    return max(scores)


def test_samples_depend_on_the_seed_alone(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    llm, prompt = reader

    def draw(seed: int, temperature: float = 1.0) -> Any:
        return generate(
            llm, inputs(range(4)), prompt.stop_ids, LIMITS,
            num_samples=3, seed=seed, temperature=temperature,
        )  # fmt: skip

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = draw(1)
    assert torch.equal(before, torch.random.get_rng_state())  # nobody else's random numbers
    torch.manual_seed(6)
    assert draw(1) == first
    assert draw(2) != first
    assert all(len(several) == 3 for several in first)
    cold = draw(1, temperature=1e-4)
    expected = _greedy(reader, inputs, range(4))
    assert _differences(llm, inputs, expected, [several[0] for several in cold])[1] == 0
