"""Archives: found, opened without dpkg, checked by content, and installed whole or not at all."""

import dataclasses
import hashlib
import tarfile
from pathlib import Path

import pytest

from espnet_otreg.data import archives
from espnet_otreg.data.archives import archive_members, content_digest, is_complete, obtain
from espnet_otreg.data.core_sounds import prepare_core_sounds
from espnet_otreg.data.sources import SOURCES, Package, Source
from espnet_otreg.errors import UserError

from .conftest import write_deb

FILES = {
    "usr/share/doc/tiny/tiny.txt": b"a: one\n",
    "usr/share/tiny/a.bin": b"\0\1",
    "usr/share/tiny/../../../etc/evil.bin": b"\0",
    "usr/share/tiny/README": b"not needed",
}
DIGEST = content_digest(
    {
        "tiny.txt": hashlib.sha256(b"a: one\n").hexdigest(),
        "a.bin": hashlib.sha256(b"\0\1").hexdigest(),
    }
)
TINY = Source(
    name="tiny",
    packages=(Package("tiny", "1.0-1", "t/tiny"),),
    members=(r"usr/share/doc/tiny/(tiny\.txt)", r"usr/share/tiny/(.+\.bin)"),
    sha256=DIGEST,
    licence="CC0",
    attribution="nobody",
)


@pytest.mark.parametrize("compression", ["xz", "gz"])
def test_a_deb_without_and_with_dpkg(tmp_path: Path, compression: str) -> None:
    deb = tmp_path / "tiny_1.0-1_all.deb"
    write_deb(deb, FILES, compression)
    ours = {name.removeprefix("./"): data for name, data in archives._deb_members(deb)}
    assert ours == FILES
    assert {name.removeprefix("./"): data for name, data in archive_members(deb)} == FILES


def test_existing_copies(tmp_path: Path) -> None:
    write_deb(tmp_path / "debs/tiny_9_all.deb", FILES)
    downloads = tmp_path / "downloads"
    assert obtain(TINY, downloads, tmp_path / "debs") == f"copies in {tmp_path / 'debs'}"
    assert (downloads / "tiny/tiny.txt").read_bytes() == b"a: one\n"
    assert sorted(path.name for path in (downloads / "tiny").iterdir()) == [
        ".content.json", "a.bin", "tiny.txt",
    ]  # fmt: skip
    assert is_complete(TINY, downloads)
    assert obtain(TINY, downloads) == "already there"


def test_the_publishers_tarball(tmp_path: Path) -> None:
    """The layout of downloads.asterisk.org: no leading directories, text not compressed."""
    (tmp_path / "core-sounds-it.txt").write_bytes(b"; x\n")
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/1.g722").write_bytes(b"\1")
    name = "asterisk-core-sounds-it-g722-1.6.1.tar.gz"
    with tarfile.open(tmp_path / name, "w:gz") as tarball:
        for member in ("core-sounds-it.txt", "digits/1.g722"):
            tarball.add(tmp_path / member, member)
    digest = content_digest(
        {
            "core-sounds-it.txt": hashlib.sha256(b"; x\n").hexdigest(),
            "digits/1.g722": hashlib.sha256(b"\1").hexdigest(),
        }
    )
    source = dataclasses.replace(SOURCES["core_sounds_it"], sha256=digest)
    obtain(source, tmp_path / "downloads", tmp_path)
    assert (tmp_path / "downloads/core_sounds_it/digits/1.g722").read_bytes() == b"\1"


def test_other_content_is_refused(tmp_path: Path) -> None:
    write_deb(tmp_path / "debs/tiny_1.0-1_all.deb", {**FILES, "usr/share/tiny/a.bin": b"\0\2"})
    with pytest.raises(UserError, match=f"not the pinned {DIGEST}; use version 1.0-1"):
        obtain(TINY, tmp_path / "downloads", tmp_path / "debs")
    assert not list((tmp_path / "downloads").iterdir())


@pytest.mark.parametrize("size", [10, 100, 300])
def test_a_truncated_package_is_refused(tmp_path: Path, size: int) -> None:
    deb = tmp_path / "debs/tiny_1.0-1_all.deb"
    write_deb(deb, FILES)
    deb.write_bytes(deb.read_bytes()[:size])
    for members in (archive_members, archives._deb_members):
        with pytest.raises(UserError, match="fetch it again"):
            list(members(deb))
    with pytest.raises(UserError, match="the corpus tiny cannot be had"):
        obtain(TINY, tmp_path / "downloads", tmp_path / "debs")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no tiny_\*\.deb; put the packages there"):
        obtain(TINY, tmp_path / "downloads", tmp_path)


def test_every_way_that_failed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A real mirror address that refuses at once: nothing listens on port 9 of this machine.
    monkeypatch.setattr("espnet_otreg.data.sources.DEBIAN_POOLS", ("http://127.0.0.1:9/debian",))
    with pytest.raises(UserError) as error:
        obtain(TINY, tmp_path)
    assert "apt-get" in str(error.value) and "127.0.0.1:9" in str(error.value)
    assert "--data_root (tiny)" in str(error.value)


def test_the_real_italian_packages(tmp_path: Path) -> None:
    """Fetched for real: the pinned digest and the counts hold on this machine too."""
    obtain(SOURCES["core_sounds_it"], tmp_path)
    log = prepare_core_sounds(tmp_path / "core_sounds_it", tmp_path / "out", "it")
    assert log.kept == 582
    assert {reason: len(ids) for reason, ids in log.dropped.items()} == {
        "no_words": 13,
        "no_audio": 2,
        "no_transcript": 2,
        "number": 2,
    }
    assert log.seconds == pytest.approx(1291.1, abs=0.1)
