"""Programs of Debian without root: what is unpacked, and libraries that stand in for audio."""

from __future__ import annotations

import ctypes
import io
import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from espnet_otreg.data.synthesis import packages
from espnet_otreg.data.synthesis.packages import DebianFile, obtain_engine
from espnet_otreg.data.synthesis.silent_library import AUDIO_LIBRARIES, silent_library
from espnet_otreg.data.synthesis.speaking import prepare_voices
from espnet_otreg.errors import UserError
from espnet_otreg.files import sha256_file

HERE = AUDIO_LIBRARIES if platform.machine() == "x86_64" else ()  # they are for x86-64


@pytest.mark.parametrize("name", HERE)
def test_the_system_loads_a_silent_library_with_all_its_functions(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(silent_library(name, AUDIO_LIBRARIES[name]))
    # Not in this process, which may have the real one; dlvsym asks for a symbol of a version.
    code = """
import ctypes, json, sys
library, symbols = ctypes.CDLL(sys.argv[1]), json.loads(sys.argv[2])
dlvsym = ctypes.CDLL(None).dlvsym
dlvsym.restype = ctypes.c_void_p
dlvsym.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
for version, names in symbols.items():
    for name in names.split():
        handle = library._handle
        found = dlvsym(handle, name.encode(), version.encode()) if version else library[name]
        assert found, (name, version)
        assert not version or dlvsym(handle, name.encode(), b"NO_SUCH_1.0") is None
"""
    words = [sys.executable, "-c", code, str(tmp_path / name), json.dumps(AUDIO_LIBRARIES[name])]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(OSError):
        ctypes.CDLL(str(tmp_path / "none.so"))


def write_deb(path: Path, files: dict[str, bytes], links: dict[str, str]) -> str:
    """A Debian package; returns its sha256."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    content = b"!<arch>\n"
    for name, part in (("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue())):
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode()
        content += part + b"\n" * (len(part) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return sha256_file(path)


def test_pinned_packages_are_unpacked_whole_and_only_free_voices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    voices = "usr/share/RHVoice/voices"
    files = {
        "usr/bin/RHVoice-test": b"#!/bin/sh\n",
        f"{voices}/alan/voice.info": b"free",
        f"{voices}/lyubov/voice.info": b"not free",
        f"{packages.LIBRARIES}/libsonic.so.0.2": b"x",
    }
    deb = tmp_path / "archives/rhvoice_1_amd64.deb"
    links = {f"{packages.LIBRARIES}/libsonic.so.0": "libsonic.so.0.2"}
    digest = write_deb(deb, files, links)
    pinned = (DebianFile("non-free/r/rhvoice/rhvoice_1_amd64.deb", digest),)
    monkeypatch.setitem(packages.PACKAGES, ("rhvoice", "en"), pinned)
    monkeypatch.setenv("PATH", "/nowhere")
    assert prepare_voices([("rhvoice", "alan")], tmp_path) == tmp_path / "voices"
    root = tmp_path / "voices/rhvoice_en"
    assert (root / "usr/bin/RHVoice-test").stat().st_mode & 0o100
    assert (root / packages.LIBRARIES / "libsonic.so.0").read_bytes() == b"x"
    assert [path.name for path in (root / voices).iterdir()] == ["alan"]
    assert (root / packages.LIBRARIES / "libasound.so.2").is_file()

    other = (DebianFile("non-free/r/rhvoice/rhvoice_1_amd64.deb", "0" * 64),)
    monkeypatch.setitem(packages.PACKAGES, ("rhvoice", "ru"), other)
    monkeypatch.setattr(packages, "DEBIAN_POOLS", ("http://127.0.0.1:9/pool/main",))
    with pytest.raises(UserError, match="rhvoice_1_amd64.deb cannot be had: http://127.0.0.1:9"):
        obtain_engine("rhvoice", "ru", tmp_path)
    with pytest.raises(UserError) as caught:
        prepare_voices([("rhvoice", "anna")], tmp_path)
    assert str(caught.value).startswith("voices that are not installed: rhvoice anna (rhvoice_1_")
    assert str(caught.value).endswith("; apt install rhvoice rhvoice-russian (Debian's section "
                                      "non-free)")  # fmt: skip
    assert not (tmp_path / "voices/rhvoice_ru").exists()
