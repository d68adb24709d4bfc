"""The free text that the mini LLM learns from: Debian packages, licences, pinned digests."""

from __future__ import annotations

from espnet_otreg.data.sources import Package, Source

_WESNOTH = "1.16.9-1"


def _campaign(name: str, sha256: str) -> Source:
    return Source(
        name=f"wesnoth_{name}",
        packages=(Package(f"wesnoth-1.16-{name}", _WESNOTH, "w/wesnoth-1.16"),),
        members=(r"usr/share/games/wesnoth/1\.16/(locale/(?:es|fr|it|ru)/LC_MESSAGES/.+\.mo)",),
        sha256=sha256,
        licence="GPL-2+",
        attribution="Battle for Wesnoth, (C) 2003-2022 David White and contributors",
    )


def _fortunes(language: str, version: str, pool: str, licence: str, sha256: str) -> Source:
    suffix, folder = ("", "") if language == "en" else (f"-{language}", f"{language}/")
    return Source(
        name=f"fortunes_{language}",
        packages=(Package(f"fortunes{suffix}", version, pool),),
        members=(rf"usr/share/(games/fortunes/{folder}[a-zA-Z0-9_-]+(?:\.fortunes)?)",),
        sha256=sha256,
        licence=licence,
        attribution=f"package fortunes{suffix} {version}, https://packages.debian.org",
    )


TEXT_SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        _campaign("httt", "8b39f92b9c4795565c8b1ff70ffeca211bf4e469cc1759f737bc1f3c26957bc5"),
        _campaign("utbs", "e2523124e22241f7b90ac6429796841bb8fcad9d2ac8e4617b5e9587ee7ad50a"),
        _campaign("nr", "bf2e9354bbc6f210ae199b516db217bda0d5d0ad6e8dd1da5de4f651cfc904f8"),
        _campaign("sof", "c2daea83d2cebf175e70351439ec8450bffb98028f37db1038b18c770fece450"),
        _campaign("did", "abe4b399cd6d494d7f492b7a84517f2f85530f0f17fcede06b46867150bd57d4"),
        Source(
            name="gnome_help",
            packages=(Package("gnome-user-docs", "43.0-2", "g/gnome-user-docs"),),
            members=(r"usr/(share/help/(?:C|es|fr|it|ru)/.+\.page)",),
            sha256="e67b38a250ea055bccd0f260fb509036f897440c2a2f122bba0deb04bf3fe516",
            licence="CC BY-SA 3.0",
            attribution="GNOME user documentation, (C) Shaun McCance and the GNOME project",
        ),
        _fortunes(
            "en",
            "1.99.1-7.3",
            "f/fortune-mod",
            "BSD",
            "84759ad78a38448987c3d0832485fa9936449f79ac9d64c3fc12ebeb104ff43a",
        ),
        _fortunes(
            "es",
            "1.36",
            "f/fortunes-es",
            "GPL-2+; the sayings: public domain",
            "70d7ab61060ba36fc734848d34fb5d3a4b429ada47ade92461e94b33e0da6c7f",
        ),
        _fortunes(
            "it",
            "1.99-4.1",
            "f/fortunes-it",
            "freely redistributable",
            "fc908a01dbe743f519d3e4c78f1bd1c60edd69a77c90240af0d7cf669eac4430",
        ),
        _fortunes(
            "ru",
            "1.52-3.1",
            "f/fortunes-ru",
            "GPL-2",
            "60208603f7fed64805ffe8f9155fd72322d59553dd027dface8283d8bc93d7e6",
        ),
    )
}
