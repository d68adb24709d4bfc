"""A data directory is called as the user calls it: by the link, not by what it leads to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_table, set_name
from espnet_otreg.decoding.data import read_data_set, read_data_sets
from espnet_otreg.errors import UserError

MakeDir = Callable[..., Path]


@pytest.fixture
def links(make_data_dir: MakeDir, tmp_path: Path) -> tuple[Path, Path]:
    """``test`` and ``ood``, which lead to directories that are both called ``data``."""
    made = []
    for name, place in (("test", "x"), ("ood", "y")):
        directory = make_data_dir(f"made_{name}")
        (tmp_path / place).mkdir()
        directory.rename(tmp_path / place / "data")
        (tmp_path / name).symlink_to(tmp_path / place / "data")
        made.append(tmp_path / name)
    return made[0], made[1]


def test_links_are_two_sets(links: tuple[Path, Path], tmp_path: Path) -> None:
    assert [data.name for data in read_data_sets(links, precomputed=False)] == ["test", "ood"]
    for link in links:
        format_data(link, tmp_path / "dump" / link.name)
        domains = read_table(tmp_path / "dump" / link.name / "utt2domain")
        assert set(domains.values()) == {link.name}


def test_other_ways_to_write_a_path(
    links: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("test/", "test/.", "./test", "x/../test"):
        assert read_data_set(f"{tmp_path}/{text}", precomputed=False).name == "test"
    monkeypatch.chdir(links[0])
    monkeypatch.setenv("PWD", str(links[0]))  # as a shell sets it
    assert set_name(".") == set_name("./") == set_name("") == "test"
    monkeypatch.setenv("PWD", "/usr")  # of another directory
    assert set_name(".") == "data"
    monkeypatch.delenv("PWD")
    assert set_name(".") == "data" and set_name("..") == "x" and set_name("../data/..") == "x"


def test_two_directories_of_one_name_are_both_named(links: tuple[Path, Path]) -> None:
    data = [link.resolve() for link in links]
    with pytest.raises(UserError) as error:
        read_data_sets(data, precomputed=False)
    assert f"two data directories have the name 'data': {data[0]} and {data[1]}" in str(error.value)


def test_odd_names_make_domains_that_differ(make_data_dir: MakeDir, tmp_path: Path) -> None:
    found = []
    for name in ("my-test set", "тест", "проб"):
        format_data(make_data_dir(name.replace(" ", "_")).rename(tmp_path / name),
                    tmp_path / "dump")  # fmt: skip
        found += sorted(set(read_table(tmp_path / "dump/utt2domain").values()))
    assert found[0] == "my_test_set" and len(set(found)) == 3
    assert all(name.isascii() for name in found)
