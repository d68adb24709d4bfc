"""What tests of several folders share: tiny models and trainings, and a process to run commands."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from bad_input import ForkServer
from hypothesis import settings
from tiny_corpus import DIM
from tiny_training import TinyTraining, make_tiny_training
from tiny_whisper import build_tiny_whisper

# The suite tries the same examples every time; the nightly run looks for others, and for more
# where they are cheap.
settings.register_profile("suite", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=2000, deadline=None, print_blob=True)
settings.register_profile("fuzz", max_examples=10_000, deadline=None, print_blob=True)
settings.load_profile("suite")

# A shell that starts the tests in the background makes them ignore SIGINT, and what they start too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a test that has its own time limit, because it is long, go first.

    At the end it would keep one process busy while the others have nothing left.
    """
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    items.sort(key=lambda item: item.path not in long)


_LANGUAGES = ("en", "es", "fr", "it", "ru")


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> ForkServer:
    """fork_server(name, ...): run a command that needs PyTorch and ESPnet."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return ForkServer(place / "fork_server")
    # All workers share one, which ends with the process that has started them.
    return ForkServer(place.parent / "fork_server", until=os.getppid())


@pytest.fixture(scope="session")
def tiny_training(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> TinyTraining:
    """Everything that a training reads, made once."""
    return make_tiny_training(tmp_path_factory.mktemp("training"), fork_server)


@pytest.fixture(scope="session")
def upper_training(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> TinyTraining:
    """The same on features of the fourth of six layers of a Whisper, which lies beside them."""
    training = make_tiny_training(tmp_path_factory.mktemp("upper"), fork_server)
    build_tiny_whisper(DIM, layers=6).save_pretrained(training.root / "whisper")
    for kind in ("train", "valid"):
        facts = training.root / kind / "feats.json"
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"layer": 4}))
    return training


@pytest.fixture(scope="session")
def tiny_whisper_model() -> Any:
    """A Whisper of two encoder layers and one decoder layer, 32 wide."""
    return build_tiny_whisper()


@pytest.fixture(scope="session")
def tiny_whisper(tiny_whisper_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The local directory of that model."""
    directory = tmp_path_factory.mktemp("models") / "tiny-whisper"
    tiny_whisper_model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def whisper_tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level ``tokenizer.json`` with Whisper's control tokens for five languages."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: n for n, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["endoftext", "startoftranscript", *_LANGUAGES, "translate", "transcribe",
             "startoflm", "startofprev", "nocaptions", "notimestamps"]  # fmt: skip
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in names])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="session")
def world(
    tiny_whisper_model: Any, whisper_tokenizer_json: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small world in which the audit's commands do real work, see small_world.py."""
    from small_world import make_small_world  # needs PyTorch, which most tests do not

    root = tmp_path_factory.mktemp("world")
    return make_small_world(root, tiny_whisper_model, whisper_tokenizer_json)
