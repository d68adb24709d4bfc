"""Hub names against a mirror on this machine, without it, and when it says no."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMITS = {"main": "a" * 40, "v1": "b" * 40}
FILES = {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"w", "x.fp32.json": b"2"}
REFUSED = {"nobody/gated": "GatedRepo", "nobody/none": "RepoNotFound"}


class Mirror(BaseHTTPRequestHandler):
    """The answers of the hub that a download needs, in its own protocol."""

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        words = self.path.partition("?")[0].strip("/").split("/")
        name = "/".join(words[2:4]) if words[0] == "api" else "/".join(words[:2])
        revision = words[5 if words[0] == "api" else 3] if len(words) > 4 else "main"
        commit = COMMITS.get(revision, revision if revision in COMMITS.values() else None)
        if name in REFUSED:
            self.answer(403 if "gated" in name else 404, X_Error_Code=REFUSED[name])
        elif commit is None:
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif words[0] == "api" and words[4] == "tree":
            entries = [
                {"type": "file", "path": file, "size": len(body) + len(commit), "oid": "0" * 40}
                for file, body in FILES.items()
            ]
            self.answer(200, json.dumps(entries).encode(), Content_Type="application/json")
        elif words[0] == "api":
            siblings = [{"rfilename": file} for file in FILES]
            about = {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
            self.answer(200, json.dumps(about).encode(), Content_Type="application/json")
        else:
            body = FILES[words[-1]] + commit.encode()
            etag = hashlib.sha1(body).hexdigest()
            self.answer(200, body, ETag=f'"{etag}"', X_Repo_Commit=commit)

    do_HEAD = do_GET


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


CODE = """
import sys
from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.directory import model_directory, model_revision
for model in sys.argv[1:]:
    try:
        print(model_directory(model), model_revision(model))
    except UserError as error:
        print(error)
"""


def resolve(cache: Path, *models: str, **variables: str) -> list[str]:
    """What a process with these variables gets, one line a model."""
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k[:3] != "HF_"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *models],
        env=kept | {"HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_mirror_gives_the_revision_asked_for_and_the_cache_keeps_it(
    mirror: str, tmp_path: Path
) -> None:
    models = ("tiny/llm", "tiny/llm@v1", f"tiny/llm@{COMMITS['v1']}")
    first = resolve(tmp_path, *models, HF_ENDPOINT=mirror)
    commits = [COMMITS["main"], COMMITS["v1"], COMMITS["v1"]]
    for line, commit in zip(first, commits, strict=True):
        directory, revision = line.split()
        assert Path(directory).name == revision == commit
        assert sorted(path.name for path in Path(directory).iterdir()) == [
            "config.json", "model.safetensors",
        ]  # fmt: skip
        assert (Path(directory) / "model.safetensors").read_bytes() == b"w" + commit.encode()
    assert resolve(tmp_path, *models, HF_ENDPOINT=mirror, HF_HUB_OFFLINE="1") == first


def test_every_refusal_is_one_sentence(mirror: str, tmp_path: Path) -> None:
    gated, none, revision = resolve(
        tmp_path, "nobody/gated", "nobody/none", "tiny/llm@v9", HF_ENDPOINT=mirror
    )
    assert gated.startswith("https://huggingface.co/nobody/gated: the hub asks you to accept")
    assert none == "nobody/none: the hub has no such model; check the name"
    assert revision == "tiny/llm@v9: the hub has no such revision; check what follows @"


@pytest.mark.parametrize(
    ("variables", "cause"),
    [({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
     ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "no answer")],
)  # fmt: skip
def test_without_a_hub_the_offline_route_is_named(
    tmp_path: Path, variables: dict[str, str], cause: str
) -> None:
    [said] = resolve(tmp_path, "tiny/llm", **variables)
    assert said.startswith(
        f"tiny/llm: no directory, and not to be had from the hub or its cache ({cause}); copy"
    )
    assert "tools/fetch_model.py --source packages" in said
