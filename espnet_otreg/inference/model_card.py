"""The README.md of a packed model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from espnet_otreg.data.languages import describe_languages
from espnet_otreg.inference.parts import PretrainedModel
from espnet_otreg.slm.model import SpokenLanguageModel

_CARD = """---
library_name: espnet_otreg
pipeline_tag: automatic-speech-recognition
{languages}---
# A spoken language model

Speech encoder -> projector (`{projector}`) -> LLM, trained with ESPnet and espnet_otreg.
`model.pth` holds the {trained:,} trained parameters; everything else comes from these models:

| part | model | origin | licence | sha256 of the weights | where |
|---|---|---|---|---|---|
{rows}

Their licences hold for this model too: read them before you pass it on.

## Use

```python
from espnet_otreg import SpeechLM

model = SpeechLM.from_pretrained("this directory")
print(model.transcribe("a.wav", language="{example}"))
```

or `python -m espnet_otreg.bin.slm_transcribe a.wav --model_dir DIR --language {example}`.

## Facts

- Languages: {known}.
- Text: normalised by `{normalizer}` (lower-case words without punctuation).
- Joint decoding: weight of the LLM {weight:g}, of its prior {prior_weight:g}; length bonus
  {length_bonus:g} per token.
- Made with {libraries}.
"""


def model_card(
    model: SpokenLanguageModel,
    parts: Sequence[PretrainedModel],
    decoding: Mapping[str, Any],
    libraries: Mapping[str, str],
) -> str:
    """The model card: what it is made of, under which licences, and how to use it.

    Args:
        model: the packed model.
        parts: the pretrained models in it.
        decoding: content of ``decode.json``.
        libraries: name -> version.
    """
    trained = model.prompt.trained
    languages = sorted(trained.languages) if trained is not None else []
    listed = "".join(["language:\n", *(f"- {name}\n" for name in languages)]) if languages else ""
    rows = [
        f"| {part.role} | {part.name} | {part.origin} | {part.licence} | `{part.sha256}` | "
        + (f"`models/{part.name}`" if part.copied else part.path or "the hub")
        + " |"
        for part in parts
    ]
    return _CARD.format(
        languages=listed,
        projector=model.config.projector,
        trained=sum(value.numel() for value in model.state_dict().values()),
        rows="\n".join(rows),
        example=languages[0] if languages else "en",
        known=describe_languages(languages) or "trained without naming any",
        normalizer=decoding["normalizer"],
        weight=decoding["weight"],
        length_bonus=decoding["length_bonus"],
        prior_weight=decoding["prior_weight"],
        libraries=", ".join(f"{name} {number}" for name, number in libraries.items()),
    )
