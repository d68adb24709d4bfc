"""Models from the Hugging Face hub, when it can be reached."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from espnet_otreg.errors import UserError

_SECONDS_TO_ANSWER = 4.0
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


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


def fetch_from_hub(hub_id: str, output: Path) -> str:
    """Copy a hub model's files into ``output``; returns the commit it came from.

    HF_HUB_OFFLINE and the hub's cache are honoured: what is cached needs no network.

    Raises:
        UserError: if it is neither in the cache nor to be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    try:
        snapshot = Path(snapshot_download(hub_id, allow_patterns=_PATTERNS))
    except GatedRepoError as error:
        raise UserError(
            "the hub asks you to accept the licence there",
            f"https://huggingface.co/{hub_id}",
            "accept it, log in with 'hf auth login', and run the command again",
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            "not to be had from the hub", hub_id, "check the network or give --source packages"
        ) from error
    # The snapshot is a folder of links into the cache: copy what they point to.
    shutil.copytree(snapshot, output, dirs_exist_ok=True)
    return snapshot.name
