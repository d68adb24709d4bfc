"""The small tools for Kaldi tables."""

from __future__ import annotations

import subprocess
from pathlib import Path

UTILS = Path(__file__).parents[2] / "egs2/TEMPLATE/slm1/utils"


def tool(name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([UTILS / name, *arguments], input=stdin, capture_output=True, text=True)


def test_split_scp_keeps_order_and_shares_evenly(tmp_path: Path) -> None:
    lines = [f"utt{n} value {n}\n" for n in range(7)]
    (tmp_path / "in.scp").write_text("".join(lines))
    parts = [tmp_path / f"out.{n}" for n in (1, 2, 3)]
    assert tool("split_scp.pl", str(tmp_path / "in.scp"), *map(str, parts)).returncode == 0
    contents = [part.read_text() for part in parts]
    assert "".join(contents) == "".join(lines)
    assert sorted(text.count("\n") for text in contents) == [2, 2, 3]


def test_split_scp_refuses_empty_parts(tmp_path: Path) -> None:
    (tmp_path / "in.scp").write_text("a 1\n")
    failed = tool("split_scp.pl", str(tmp_path / "in.scp"), "out.1", "out.2")
    assert failed.returncode == 1
    assert "1 lines cannot be cut into 2 parts" in failed.stderr


def test_speaker_maps_are_inverse() -> None:
    utt2spk = "a1 anna\na2 anna\nb1 bert\n"
    spk2utt = tool("utt2spk_to_spk2utt.pl", stdin=utt2spk).stdout
    assert spk2utt == "anna a1 a2\nbert b1\n"
    assert tool("spk2utt_to_utt2spk.pl", stdin=spk2utt).stdout == utt2spk


def test_speaker_map_errors_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "utt2spk"
    path.write_text("a1 anna\na2\n")
    assert f"{path}:2: expected" in tool("utt2spk_to_spk2utt.pl", str(path)).stderr
    path.write_text("anna a1\nbert a1\n")
    assert f"{path}:2: utterance 'a1' has" in tool("spk2utt_to_utt2spk.pl", str(path)).stderr


def test_filter_scp(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a x\nc\n")
    table = "a 1\nb 2\nc 3\n"
    assert tool("filter_scp.pl", str(tmp_path / "list"), stdin=table).stdout == "a 1\nc 3\n"
    exclude = tool("filter_scp.pl", "--exclude", str(tmp_path / "list"), stdin=table)
    assert exclude.stdout == "b 2\n"
    assert tool("filter_scp.pl", str(tmp_path / "none"), stdin=table).returncode == 1
