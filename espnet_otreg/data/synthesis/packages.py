"""Flite, Festival and RHVoice without root: pinned packages of Debian, unpacked into a directory.

They run on Linux on x86-64 with glibc 2.34 or newer, whatever the distribution.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.data.archives import read_ar
from espnet_otreg.data.download import download
from espnet_otreg.data.sources import DEBIAN_POOLS
from espnet_otreg.data.synthesis.catalogue import VOICES, base_name, voices_of
from espnet_otreg.data.synthesis.silent_library import AUDIO_LIBRARIES, silent_library
from espnet_otreg.errors import UserError
from espnet_otreg.files import replace_directory, sha256_file

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@dataclass(frozen=True)
class DebianFile:
    """A package of Debian 12, by its path in the pool of a mirror."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.rpartition("/")[2]

    @property
    def package(self) -> str:
        """Name and version as apt-get takes them; an epoch does not stand in a file's name."""
        name, version, _ = self.name.split("_")
        epoch = "1:" if name in ("festival", "libestools2.5") else ""
        return f"{name}={epoch}{version}"


_FLITE = (
    DebianFile(
        "main/f/flite/flite_2.2-5_amd64.deb",
        "f4ce03470bf9974c2cb9cacd981e6be29339ef4c97cf994dd6fa3f90e6544db9",
    ),
    DebianFile(
        "main/f/flite/libflite1_2.2-5_amd64.deb",
        "bfa8c591f1b47730b30b372ec38e02918a1c9795eada67684e1746390ad2f061",
    ),
)
_FESTIVAL = (
    DebianFile(
        "main/f/festival/festival_2.5.0-9_amd64.deb",
        "d635d3aebabb5e4bf4d2f1f1bb65a0de4ca1b4ffd8e52bd473b17d3e235e88a7",
    ),
    DebianFile(
        "main/s/speech-tools/libestools2.5_2.5.0-13_amd64.deb",
        "c5d7a7ea3f17c5779b7f47b40ba622d5f6a22242b05a20f746e05f0b07a883fb",
    ),
)
_RHVOICE = (
    DebianFile(
        "non-free/r/rhvoice/rhvoice_1.8.0+dfsg-3_amd64.deb",
        "58d87c29dd1b7ebacb2ab5cd435e6b390d59c0b01e788e2aaf398a98b7694fd2",
    ),
    DebianFile(
        "non-free/r/rhvoice/librhvoice-core7_1.8.0+dfsg-3_amd64.deb",
        "7b321d21caf899c78e579593f105fd49995f4d0c948c0523b2b4baa3291375f5",
    ),
    DebianFile(
        "non-free/r/rhvoice/librhvoice-audio2_1.8.0+dfsg-3_amd64.deb",
        "a1b7edc74397a150d83107f66fbb6781ab888053eb6fc65f42479f886d42fd62",
    ),
    DebianFile(
        "main/s/sonic/libsonic0_0.2.0-12_amd64.deb",
        "9d60de6918ace0b10e3e4e95421befd08aaf03b5b2a3d71ceb799e0cf259916f",
    ),
    DebianFile(  # it writes the file
        "main/liba/libao/libao4_1.2.2+20180113-1.1_amd64.deb",
        "32c29b38a2852f6438efeb4875cacf7fb1a451fea7afa0220e7eb479fc4943db",
    ),
)
PACKAGES: dict[tuple[str, str], tuple[DebianFile, ...]] = {
    ("flite", "en"): _FLITE,
    ("festival", "en"): (
        *_FESTIVAL,
        DebianFile(
            "main/f/festlex-cmu/festlex-cmu_2.4-2_all.deb",
            "9c4ca30881e987998abd51bed538e08d960aa08e8f003461c8c246da97235bbb",
        ),
        DebianFile(
            "main/f/festlex-poslex/festlex-poslex_2.4-1_all.deb",
            "bb0b51d8f99ee829ce43f4aa0983d5b63d50225dcbdd24a9b14d18e24fddc684",
        ),
        DebianFile(
            "main/f/festvox-kallpc16k/festvox-kallpc16k_2.4-1_all.deb",
            "bb21a90974a2754044c6dc11e4cf958aa8ba91ddb312e20ea7a114f3b73dadae",
        ),
        DebianFile(
            "main/f/festvox-us-slt-hts/festvox-us-slt-hts_0.2010.10.25-4_all.deb",
            "b9ac83795572e717c4595d7dac428336490eeba6801f6e607009a305b4b7da58",
        ),
    ),
    ("festival", "it"): (
        *_FESTIVAL,
        DebianFile(
            "main/f/festival-it/festlex-ifd_2.0+debian0-6_all.deb",
            "8f98f36c50fab70ee073d1e07d8e7444f003712d5d5222f6d83516e825f36d7a",
        ),
        DebianFile(
            "main/f/festival-it/festvox-italp16k_2.0+debian0-6_all.deb",
            "4acbcabf7e81cf284e1f7db9135d7761e44c6bb3f9dda85727291fe95942f525",
        ),
        DebianFile(
            "main/f/festival-it/festvox-itapc16k_2.0+debian0-6_all.deb",
            "832c8c4cede93ef292132f8a7b5d6cddaad0046e348517d8445b4a4a906f09e6",
        ),
    ),
    ("rhvoice", "en"): (
        *_RHVOICE,
        DebianFile(
            "non-free/r/rhvoice/rhvoice-english_1.8.0+dfsg-3_all.deb",
            "7ea5227bcfc54b814086f53225ff47052b444d4554e8c4e752c9e6b29edf89a5",
        ),
    ),
    ("rhvoice", "ru"): (
        *_RHVOICE,
        DebianFile(
            "non-free/r/rhvoice/rhvoice-russian_1.8.0+dfsg-3_all.deb",
            "1892955b9d779abb67963842f124fb2192810e7bb9976ad3a4cbdea7a99ac838",
        ),
    ),
}


def unpacked_root(voices_dir: Path, engine: str, voice: str) -> Path:
    """Where an engine with the voices of one language is unpacked.

    >>> unpacked_root(Path("downloads/voices"), "rhvoice", "anna").name
    'rhvoice_ru'
    """
    return voices_dir / f"{engine}_{VOICES[engine, base_name(voice)].language}"


def _wanted(member: str, names: Collection[str]) -> bool:
    """Whether a member of a package is unpacked: of RHVoice's voices only those given."""
    place, voices, rest = member.partition("share/RHVoice/voices/")
    inside = rest.strip("/").partition("/")[0]
    return not (place and voices and inside) or inside in names


def _unpack(deb: Path, root: Path, names: Collection[str]) -> None:
    for name, content in read_ar(deb):
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                members = [m for m in archive.getmembers() if _wanted(m.name, names)]
                archive.extractall(root, members, filter="tar")


def _obtain(file: DebianFile, store: Path) -> Path:
    """A package from the store, apt or a mirror, in this order; its digest is the pinned one."""
    target = store / file.name
    if target.is_file() and sha256_file(target) == file.sha256:
        return target
    store.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if shutil.which("apt-get"):
        words = ["apt-get", "download", file.package]
        subprocess.run(words, cwd=store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        made = {target, *store.glob(file.name.replace("_", "_*", 1))}  # apt writes 1%3a2.5.0
        for path in made:
            if path.is_file() and sha256_file(path) == file.sha256:
                return path.replace(target)
    reasons = []
    for mirror in DEBIAN_POOLS:
        try:
            download(f"{mirror.removesuffix('/main')}/{file.path}", target)
            if sha256_file(target) == file.sha256:
                return target
            reasons.append(f"{mirror} has another file of that name")
            target.unlink()
        except UserError as error:
            reasons.append(str(error))
    raise UserError(f"{file.name} cannot be had: {' and '.join(reasons)}")


def obtain_engine(engine: str, language: str, download_dir: str | Path) -> Path:
    """Unpack an engine with its voices of one language, whole or not at all.

    Args:
        engine, language: a key of :data:`PACKAGES`.
        download_dir: packages are kept in ``archives``, what is in them goes to ``voices``.

    Returns:
        The directory that stands for ``/``.

    Raises:
        UserError: if a package cannot be had, or this is no Linux on x86-64.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise UserError("these packages are for Linux on x86-64", engine, "install it otherwise")
    download_dir = Path(download_dir)
    root = download_dir / "voices" / f"{engine}_{language}"
    if not root.is_dir():
        names = [voice.name for voice in voices_of(engine, language)]
        debs = [_obtain(file, download_dir / "archives") for file in PACKAGES[engine, language]]
        with replace_directory(root) as fresh:
            for deb in debs:
                _unpack(deb, fresh, names)
            for name, symbols in AUDIO_LIBRARIES.items():
                (fresh / LIBRARIES / name).write_bytes(silent_library(name, symbols))
    return root
