"""The version of the code as a fact of every step: one format number for each command.

Commands are our modules in ``bin``, and the scripts by which a recipe gets what it begins with:
its own ``local/data.sh`` and ``local/text.sh`` (which call several modules), and our tool.

A fingerprint of the modules would make a training of hours again after a changed comment. So the
number is raised by hand: whoever changes a command so that the same input and the same settings
give another result adds a line to its history and says why. The steps made by an earlier format
then run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_PREFIX = "espnet_otreg.bin."
_SCRIPTS = ("local/data.sh", "local/text.sh", "tools/fetch_model.py")

# What each format of a command's results brought, the first one first.
HISTORY: dict[str, tuple[str, ...]] = {
    "collect_text": ("the first one",),
    "combine_features": ("the first one",),
    "extract_features": (
        "the first one",
        "other noise in augmented copies, and more kinds of what may happen to them",
    ),
    "format_data": ("the first one",),
    "select_speech": ("the first one",),
    "slm_analyze": ("the first one",),
    "slm_decode": ("the first one", "joint decoding is a search by CTC and the LLM together"),
    "slm_pack": ("the first one",),
    "slm_report": ("the first one", "next.txt, and tables by test set"),
    "slm_score": ("the first one",),
    "slm_train": ("the first one",),
    "stage": ("the first one",),
    "synthesize": ("the first one",),
    "token_classes": ("the first one",),
    "train_ngram": ("the first one",),
    "train_text_llm": (
        "the first one",
        "simulated posteriors as its source, held-out sentences, bfloat16 where it is faster",
    ),
    "unpair_text": ("the first one",),
    "whisper_baseline": ("the first one",),
    **dict.fromkeys(_SCRIPTS, ("the first one",)),
    "local/data.sh": (
        "the first one",
        "mini_multi: the Amazon Queen in train, a part of the texts kept out for preference",
    ),
    "local/text.sh": ("the first one", "mini_multi: no sentence of preference"),
}


def command_name(words: Sequence[str]) -> str | None:
    """The key of a command line in :data:`HISTORY`; None for a command that is not ours.

    >>> command_name(["python", "-m", "espnet_otreg.bin.slm_pack", "--output", "a"])
    'slm_pack'
    >>> command_name(["python", "../../../tools/fetch_model.py", "whisper-base"])
    'tools/fetch_model.py'
    >>> command_name(["cp", "local/data.sh", "b"])
    """
    if "-m" in words:
        module = words[list(words).index("-m") + 1]
        return module.removeprefix(_PREFIX) if module.startswith(_PREFIX) else None
    program = words[1] if words[0] == "python" else words[0]
    return next((name for name in _SCRIPTS if f"/{program}".endswith(f"/{name}")), None)


def format_of(commands: Iterable[Sequence[str]]) -> str | None:
    """The formats of what these command lines make; None if none of them is a command of ours.

    >>> format_of([["python", "-m", "espnet_otreg.bin.token_classes"], ["cp", "a", "b"]])
    '1'
    >>> format_of([["python", "-m", "espnet2.bin.split_scps"]])
    """
    names = dict.fromkeys(map(command_name, commands))
    return " ".join(str(len(HISTORY[name])) for name in names if name is not None) or None
