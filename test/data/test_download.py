"""Downloads from a real server on this machine: resumed, repeated, compared with sums."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from published_corpora import (
    tar_up,
    write_fleurs,
    write_librispeech,
    write_mls,
    write_voxpopuli_hub,
)

from espnet_otreg.data import publishers
from espnet_otreg.data.download import check_md5, check_or_record, download
from espnet_otreg.data.published_sets import parse_parts, prepare_parts
from espnet_otreg.data.publishers import obtain_corpus
from espnet_otreg.errors import UserError

CONTENT = bytes(range(256)) * 4096


class Server(http.server.ThreadingHTTPServer):
    """Serves a directory; hangs up in the middle of a file as often as it is told to."""

    root: Path
    hang_up = 0
    ranges = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, wanted = self.server.root / self.path.lstrip("/"), self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if not path.is_file():
            self.send_error(404)
            return
        content, start = path.read_bytes(), 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(content) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if self.server.hang_up:
            self.server.hang_up -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "site").mkdir()
    running = Server(tmp_path / "site")
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    with contextlib.closing(running.socket):
        yield running
        running.shutdown()
    thread.join()


def test_a_broken_connection_is_made_again(server: Server, tmp_path: Path) -> None:
    (server.root / "a.bin").write_bytes(CONTENT)
    server.hang_up = 3
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert [wanted for _, wanted in server.asked] == [
        None, f"bytes={half}-", f"bytes={half + quarter}-", f"bytes={half + quarter * 3 // 2}-",
    ]  # fmt: skip


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    (server.root / "a.bin").write_bytes(CONTENT)
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    server.ranges = ranges
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [("/a.bin", "bytes=1000-")]
    assert not (tmp_path / "a.bin.part").exists()


def test_a_part_that_is_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    (server.root / "a.bin").write_bytes(CONTENT)
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_what_cannot_be_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/none.bin: cannot be fetched \(HTTP Error 404"):
        download(f"{server.url}/none.bin", tmp_path / "none.bin")
    # Nothing listens on port 9 of this machine.
    with pytest.raises(UserError, match=r"refused\); run the same command again to go on"):
        download("http://127.0.0.1:9/a.bin", tmp_path / "a.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_sums(tmp_path: Path) -> None:
    path = tmp_path / "data/a.tar.gz"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    check_md5(path, hashlib.md5(CONTENT).hexdigest())
    check_or_record(path, tmp_path)
    check_or_record(path, tmp_path)
    path.write_bytes(CONTENT[1:])
    with pytest.raises(UserError, match="as when it first came; remove it to fetch it again"):
        check_or_record(path, tmp_path)
    with pytest.raises(UserError, match="not the publisher's .* and was removed; fetch it again"):
        check_md5(path, "0" * 32)
    assert not path.exists()


def test_the_hub_is_asked_for_what_is_needed_and_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    fleurs = f"datasets/google/fleurs/resolve/{publishers.FLEURS_REVISION}"
    voxpopuli = f"datasets/facebook/voxpopuli/resolve/{publishers.VOXPOPULI_REVISION}"
    write_fleurs(server.root / fleurs, "de_de", "test", [("1", "10.wav", "Guten Tag.")])
    rows = [[("20100210-x_1", "Ja.", "ja", "3")], [("20110210-x_1", "Nein.", "nein", "4")]]
    write_voxpopuli_hub(server.root / voxpopuli, "de", "test", rows)
    parts = parse_parts(["fleurs:test", "voxpopuli:test"], ["de"])
    places = (tmp_path / "data", tmp_path / "downloads", "", 2)
    for _ in range(2):
        directories = prepare_parts(parts, *places)
        kept = {part.corpus: (d / "text").read_text() for part, d in directories.items()}
        assert kept["fleurs"] == "de_fleurs_unknown_10 guten tag\n"
        assert [line.split(" ", 1)[1] for line in kept["voxpopuli"].splitlines()] == ["ja", "nein"]
    asked = sorted(path.split("/data/", 1)[1] for path, _ in server.asked)
    assert asked == [
        "de/asr_test.tsv", "de/test/test_part_0.tar.gz", "de/test/test_part_1.tar.gz",
        "de_de/audio/test.tar.gz", "de_de/test.tsv", "n_files.json",
    ]  # fmt: skip
    changed = tmp_path / "downloads/fleurs/data/de_de/test.tsv"
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(UserError, match=r"de_de/test\.tsv: has sha256 .* as when it first came"):
        prepare_parts(parts, *places)


def test_trees_are_checked_and_unpacked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishers, "MLS", server.url)
    monkeypatch.setattr(publishers, "OPENSLR", server.url)
    write_mls(tmp_path, "mls_polish_opus", "test", {"1_2_000000": "dzień dobry"})
    tar_up(tmp_path / "mls_polish_opus", server.root / "mls_polish_opus.tar.gz", tmp_path)
    archive = server.root / "mls_polish_opus.tar.gz"
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    (server.root / "md5sum.txt").write_text(f"{digest}  {archive.name}\n{'0' * 32}  b.tar.gz\n")
    parts = parse_parts(["mls:test"], ["pl"])
    places = (tmp_path / "data", tmp_path / "downloads")
    for _ in range(2):
        (directory,) = prepare_parts(parts, *places).values()
        assert (directory / "text").read_text() == "pl_mls_1_2_000000 dzień dobry\n"
        (tmp_path / "downloads/mls" / archive.name).unlink(missing_ok=True)
    assert [path for path, _ in server.asked] == ["/md5sum.txt", f"/{archive.name}"]
    write_librispeech(tmp_path, "test-clean", {"61-70968": ["HE BEGAN"]})
    tar_up(tmp_path / "LibriSpeech", server.root / "test-clean.tar.gz", tmp_path)
    with pytest.raises(UserError, match="has md5 .*, not the publisher's 32fa31d2.*was removed"):
        obtain_corpus("librispeech", ["en"], ["test-clean"], tmp_path / "downloads")
    assert not (tmp_path / "downloads/librispeech/test-clean.tar.gz").exists()


def test_a_language_without_a_sum(server: Server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(publishers, "MLS", server.url)
    (server.root / "md5sum.txt").write_text(f"{'0' * 32}  mls_polish.tar.gz\n")
    with pytest.raises(UserError, match=r"no sum of mls_dutch_opus\.tar\.gz; remove it to fetch"):
        obtain_corpus("mls", ["nl"], ["test"], tmp_path)


def test_common_voice_takes_an_account(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be fetched without an account; download .*clips"):
        obtain_corpus("commonvoice", ["de"], ["test"], tmp_path, tmp_path)
    (tmp_path / "commonvoice").mkdir()
    found = obtain_corpus("commonvoice", ["de"], ["test"], tmp_path, tmp_path)
    assert found == tmp_path / "commonvoice"
