"""Archives of recordings: nothing outside of the directory, nothing twice, nothing half."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from published_corpora import write_tar

from espnet_otreg.data.unpack import is_unpacked, unpack
from espnet_otreg.errors import UserError

MEMBERS = {f"test/{n}.wav": bytes([n]) * 70_000 for n in range(4)}


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.parent.name.startswith(".unpacked")
    }


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    archive, directory = tmp_path / "test.tar.gz", tmp_path / "audio"
    write_tar(archive, MEMBERS)
    assert unpack(archive, directory) == 4
    assert contents(directory) == MEMBERS
    archive.unlink()  # it is not needed any more
    assert is_unpacked("test.tar.gz", directory) and unpack(archive, directory) == 4


def test_an_archive_of_the_same_name_that_holds_something_else_is_unpacked_again(
    tmp_path: Path,
) -> None:
    archive, directory = tmp_path / "test.tar.gz", tmp_path / "audio"
    write_tar(archive, MEMBERS)
    unpack(archive, directory)
    before = {name: (directory / name).stat().st_mtime_ns for name in MEMBERS}
    changed = {**MEMBERS, "test/2.wav": b"x" * 70_000}  # of the same size
    write_tar(archive, changed)
    assert unpack(archive, directory) == 4
    assert contents(directory) == changed
    made = [name for name in MEMBERS if (directory / name).stat().st_mtime_ns != before[name]]
    assert made == ["test/2.wav"]


def test_an_interrupted_unpacking_goes_on(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole/test.tar.gz", tmp_path / "cut/test.tar.gz"
    write_tar(whole, MEMBERS)
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    directory = tmp_path / "audio"
    with pytest.raises(UserError, match=r"cut/test\.tar\.gz: the archive cannot be read \("):
        unpack(cut, directory)
    kept = contents(directory)
    assert kept and kept.items() < MEMBERS.items() and not is_unpacked("test.tar.gz", directory)
    before = {name: (directory / name).stat().st_mtime_ns for name in kept}
    assert unpack(whole, directory) == 4
    assert contents(directory) == MEMBERS
    assert {name: (directory / name).stat().st_mtime_ns for name in kept} == before


@pytest.mark.parametrize(
    "name", ["../evil.wav", "test/../../evil.wav", "/tmp/evil-otreg.wav", "a\\..\\evil.wav"]
)
def test_a_member_that_would_leave_the_directory(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "test.tar.gz"
    write_tar(archive, {"test/good.wav": b"good", name: b"evil"})
    with pytest.raises(UserError, match=r"would be written outside of the directory; remove it"):
        unpack(archive, tmp_path / "down/audio")
    assert list(tmp_path.rglob("*evil*")) == []
    assert not Path("/tmp/evil-otreg.wav").exists()
    assert not is_unpacked("test.tar.gz", tmp_path / "down/audio")


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link out of the directory, and a file behind it, is the other way to leave."""
    archive = tmp_path / "test.tar.gz"
    (tmp_path / "outside").mkdir()
    with tarfile.open(archive, "w:gz") as file:
        link = tarfile.TarInfo("test/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        file.addfile(link)
        member = tarfile.TarInfo("test/link/evil.wav")
        member.size = 4
        file.addfile(member, io.BytesIO(b"evil"))
    assert unpack(archive, tmp_path / "audio") == 1
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "audio/test/link").is_symlink()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x1f\x8b garbage"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"test\.tar\.gz: the archive (cannot be read|is empty)"):
        unpack(tmp_path / "test.tar.gz", tmp_path / "audio")
    with pytest.raises(UserError, match="the archive is missing; copy or download it again"):
        unpack(tmp_path / "other.tar.gz", tmp_path / "audio")
