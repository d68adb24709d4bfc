"""The public archives of the recipe: where they are, what is taken out, licence, pinned digest."""

from __future__ import annotations

import dataclasses
import re

DEBIAN_POOLS = (
    "https://deb.debian.org/debian/pool/main",
    "https://archive.debian.org/debian/pool/main",
)
ASTERISK = "https://downloads.asterisk.org/pub/telephony/sounds/releases"


@dataclasses.dataclass(frozen=True)
class Package:
    """A Debian package and its file in the pool of a mirror."""

    name: str
    version: str
    pool: str

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the package is, one URL for each mirror."""
        return tuple(
            f"{mirror}/{self.pool}/{self.name}_{self.version}_all.deb" for mirror in DEBIAN_POOLS
        )


@dataclasses.dataclass(frozen=True)
class Source:
    """One corpus as its publisher packs it.

    Attributes:
        name: directory below ``--download_dir``.
        packages: the Debian packages that hold it.
        members: regular expressions for the paths inside an archive; the first group, joined with
            what follows it, is the name on disk. ``.gz`` members are unpacked.
        sha256: digest of the sorted (sha256, name) lines of all files taken out; it does not
            depend on how, when or by whom they were packed.
        licence: name of the licence.
        attribution: whom to name, and where from.
        tarballs: the publisher's own archives, tried where there is no apt.
    """

    name: str
    packages: tuple[Package, ...]
    members: tuple[str, ...]
    sha256: str
    licence: str
    attribution: str
    tarballs: tuple[str, ...] = ()

    def name_on_disk(self, member: str) -> str | None:
        """The name under which a member of an archive is kept, or None if it is not needed.

        >>> SOURCES["drascula"].name_on_disk("./usr/share/scummvm/drascula/en/13.ALS")
        '13.ALS'
        """
        for pattern in self.members:
            match = re.fullmatch(pattern, member.removeprefix("./"))
            if match and ".." not in match.group(1).split("/"):
                return match.group(1)
        return None


def _core_sounds(language: str, voice: str, licence: str, sha256: str) -> Source:
    name, version = f"asterisk-core-sounds-{language}", "1.6.1-1"
    pool = "a/asterisk-core-sounds"
    return Source(
        name=f"core_sounds_{language}",
        packages=(Package(name, version, pool), Package(f"{name}-g722", version, pool)),
        members=(
            rf"(?:usr/share/doc/[^/]+/)?(core-sounds-{language}\.txt)(?:\.gz)?",
            r"(?:usr/share/asterisk/sounds/[^/]+/)?((?:[a-z]+/)?[^/]+\.g722)",
        ),
        sha256=sha256,
        licence=licence,
        attribution=f"Asterisk core sounds, voice of {voice}, https://downloads.asterisk.org",
        tarballs=(f"{ASTERISK}/{name}-g722-1.6.1.tar.gz",),
    )


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        _core_sounds(
            "en",
            "Allison Smith",
            "CC BY-SA 3.0",
            "46e005b1c1aeba660d0285f64a7de05b2f61cc8522cf0d97cc8a272e2001eb26",
        ),
        _core_sounds(
            "es",
            "Allison Smith",
            "CC BY-SA 3.0",
            "b95fbc573f84108fc97e7f431236129fb305584187cc9eec043993d4b04018fe",
        ),
        _core_sounds(
            "fr",
            "June Wallack",
            "CC BY-SA 3.0",
            "eb23b3de44848652901caecfedd64dd9013b009d322dc04df3589e1a6d6cd353",
        ),
        _core_sounds(
            "it",
            "Carlo Flora",
            "CC BY 3.0",
            "e844a16dbbfb0be0d4ec17ecb224413855e4c0b5d3b20215d277b9938d710ce0",
        ),
        _core_sounds(
            "ru",
            "Maxim Topal (provider)",
            "CC BY 3.0",
            "7cf8e862a5a95420b95b09824e18d5f543e4ecd7456381eda6e543375280ead8",
        ),
        Source(
            name="menardi",
            packages=(
                Package(
                    "asterisk-prompt-it-menardi-wav",
                    "1.4.22+mm20110907-3.1",
                    "a/asterisk-prompt-it",
                ),
                Package("asterisk-core-sounds-it", "1.6.1-1", "a/asterisk-core-sounds"),
            ),
            members=(
                r"usr/share/asterisk/sounds/it_IT_f_Menardi/(.+\.wav)",
                r"usr/share/doc/[^/]+/(core-sounds-it\.txt)(?:\.gz)?",
            ),
            sha256="2d8a793ee7d3df4ca3f0773275c28af2cbd407f90319fd40107208e166b5671e",
            licence="CC BY-SA 3.0",
            attribution="recorded by Marco Menardi and his wife Paola Dal Zot (the voice), "
            "http://www.voip.ammdomus.it",
        ),
        Source(
            name="drascula",
            packages=(Package("drascula", "1.0+ds4-2", "d/drascula"),),
            members=(r"usr/share/scummvm/drascula/en/(drascula\.dat|[A-Z]*[0-9]+\.ALS)",),
            sha256="2dfd05545b602a9c669f05033f17393135d0b33c8d45dd76370ddb71ac875e57",
            licence="Drascula licence (redistributable, not for sale)",
            attribution="Drascula: The Vampire Strikes Back, (C) 1996-2008 Alcachofa Soft S.L.",
        ),
        Source(
            name="amazon_queen",
            packages=(
                Package("flight-of-the-amazon-queen", "1.0.0-9", "f/flight-of-the-amazon-queen"),
            ),
            members=(r"usr/share/scummvm/flight-of-the-amazon-queen/(queen\.1c)",),
            sha256="113abe58c0f82b38337b38831f49a23c2b65070c39fd39303a57a7b9693e08a5",
            licence="Amazon Queen licence (free to pass on, not for sale by itself)",
            attribution="Flight of the Amazon Queen, (C) 1995 John Passfield, Steven Stamatiadis",
        ),
        Source(
            name="tuxpaint",
            packages=(Package("tuxpaint-stamps-default", "2022.06.04-1", "t/tuxpaint-stamps"),),
            members=(r"usr/share/tuxpaint/stamps/(.+(?:_desc_(?:es|fr|ru)\.ogg|\.txt))",),
            sha256="a9908e2808f80a92aae2a25e229c7afe7b0163b70a184645b28b4ad5a8d2190a",
            licence="GPL-2",
            attribution="Tux Paint stamps, (C) 2002-2022 Bill Kendrick and volunteers",
        ),
        Source(
            name="festvox_ru",
            packages=(Package("festvox-ru", "0.5+dfsg-6", "f/festvox-ru"),),
            members=(
                r"usr/share/festival/voices/russian/msu_ru_nsh_clunits/"
                r"(wav/[^/]+\.wav|etc/txt\.done\.data)",
            ),
            sha256="de72d495ef92c8e39e8ba276b0a7d5ba4dc37de38e44fb8e574a4b0211c03994",
            licence="BSD-like",
            attribution="Russian voice for Festival, (C) 2005 Nickolay V. Shmyrev",
        ),
    )
}
