"""What README and docs say is so: commands, options, files, YAML, Python."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from pages import blocks

from espnet_otreg.data.synthesis.config import synthesis_errors
from espnet_otreg.report.results_md import README_END, README_START
from espnet_otreg.slm.espnet_classes import espnet_option_names
from espnet_otreg.tasks.train_config import OWN_OPTIONS, check_train_arguments

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
OTHER_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "RESULTS.md", *(ROOT / "results").glob("*/*.md")]
OWN_CORPUS, OWN_REGULARIZER = ROOT / "docs/own_corpus.md", ROOT / "docs/own_regularizer.md"
RECIPE = "egs2/mini_multi/slm1/run.sh"
BIN = "espnet_otreg.bin."


def commands(block: str) -> list[list[str]]:
    """The command lines of a shell block, as words; continued lines are one, comments none."""
    script = re.sub(r"<<'END'\n.*?^END$", "", block, flags=re.MULTILINE | re.DOTALL)
    lines = (line.split(" #")[0].strip() for line in script.replace("\\\n", " ").splitlines())
    return [line.split() for line in lines if line and not line.startswith("#")]


@cache
def help_of(*command: str) -> str:
    done = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def options_of(words: list[str]) -> set[str]:
    return {word for word in words if re.fullmatch(r"--[a-z][\w-]*", word)}


def parser_options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its subcommands."""
    found = {name for action in parser._actions for name in action.option_strings}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(*map(parser_options, action.choices.values()))
    return found


def known_options(program: str) -> set[str]:
    """The options of a program of ours, by its own --help."""
    if program == BIN + "slm_train":
        names = {*OWN_OPTIONS, *espnet_option_names()}
        return {f"--{name}" for name in names} | {"--config", "--check", "--help_all"}
    if program.startswith(BIN):
        return parser_options(importlib.import_module(program).get_parser())
    if program.endswith(".py"):
        text = help_of(sys.executable, program)
    else:
        text = help_of(f"./{program}")
    return {*re.findall(r"--[a-z]\w*", text), "--help"}


def program_of(words: list[str]) -> str | None:
    """The program of ours that a command line calls."""
    if "-m" in words and "python" in words:
        module = words[words.index("-m") + 1]
        return module if module.startswith(BIN) else None
    for word in words:
        if word == "./run.sh":
            return RECIPE
        if word.startswith("tools/"):
            return word
    return None


def page_commands() -> list[tuple[str, list[str]]]:
    return [
        (page.name, words)
        for page in PAGES
        for block in blocks(page, "bash")
        for words in commands(block)
        if program_of(words)
    ]


@pytest.mark.parametrize(
    ("page", "words"),
    page_commands(),
    ids=lambda value: value if isinstance(value, str) else " ".join(value)[:60],
)
def test_a_command_exists_with_its_options(page: str, words: list[str]) -> None:
    program = program_of(words)
    assert program is not None
    assert options_of(words) <= known_options(program), page


def test_options_in_running_text_exist() -> None:
    known = {"--hypothesis", "--reference_dir"}  # of slm_score
    known |= {"--revision"}  # of the hub's own program
    # What slurm.pl takes, and what it becomes for sbatch.
    meanings = (ROOT / "egs2/TEMPLATE/slm1/conf/slurm.conf").read_text(encoding="utf-8")
    known |= {f"--{name}" for name in re.findall(r"^(?:option|default) ([\w-]+)", meanings, re.M)}
    known |= options_of(meanings.split()) | {"--account", "--batch", "--qos"}
    programs = [
        RECIPE,
        "tools/install.sh",
        "tools/check_install.py",
        "tools/fetch_model.py",
        "tools/kill_recipe.py",
        "tools/record_times.py",
        "tools/soak.py",
        "egs2/mini_multi/slm1/local/data.sh",
    ]
    modules = [path.stem for path in (ROOT / "espnet_otreg/bin").glob("[a-z]*.py")]
    for program in [*programs, *(BIN + module for module in modules)]:
        known |= known_options(program)
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        spoken = {
            option for code in re.findall(r"`([^`]+)`", text) for option in options_of(code.split())
        }
        assert spoken <= known, page.name


def test_exactly_two_commands_come_first() -> None:
    first = blocks(README, "bash")[0]
    assert [words[0] for words in commands(first)] == ["tools/demo.sh", "tools/test.sh"]
    for name in ("tools/demo.sh", "tools/test.sh"):
        assert os.access(ROOT / name, os.X_OK)
        # All set-up is their own.
        assert "tools/install.sh" in (ROOT / name).read_text(encoding="utf-8")


def test_the_results_have_their_place() -> None:
    text = README.read_text(encoding="utf-8")
    start = README_START.format("mini")
    assert text.count(start) == text.count(README_END) == 1
    assert text.index(start) < text.index(README_END) < text.index("tools/demo.sh")


def test_a_newcomer_is_not_drowned() -> None:
    for page in (README, ROOT / "RESULTS.md"):
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 150, page.name


def test_the_contents_name_every_page_once() -> None:
    contents = ROOT / "docs/README.md"
    links = re.findall(r"^\| \[.*?\]\((\w+\.md)\) \|", contents.read_text(encoding="utf-8"), re.M)
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page != contents]
    assert sorted(links) == sorted(pages)


def test_the_architecture_knows_every_folder() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    folders = {path.parent.name for path in (ROOT / "espnet_otreg").glob("*/__init__.py")}
    assert len(folders) > 10 and folders <= told


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    top = "|".join(sorted({path.name for path in ROOT.iterdir() if path.is_dir()} - {"data"}))
    named = re.findall(
        rf"(?<![\w/.])((?:{top})/[\w./-]+)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    )
    generated = ("tools/venv",)
    missing = [
        name for name in named if name not in generated and not (ROOT / name.rstrip(".")).exists()
    ]
    assert missing == []


def heading_ids(page: Path) -> set[str]:
    """What links to the headings of a page end in, as GitHub makes it of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_links_to_headings_arrive(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    lost = [
        f"{name}#{heading}"
        for name, heading in links
        if heading not in heading_ids(page.parent / name if name else page)
    ]
    assert lost == []


# Examples that other tests run: experiment.yaml, and keys of packages that are not installed.
OTHERS_YAML = ("runs:", "smoothness", "preference")


def test_yaml_passes_our_own_check(tmp_path: Path) -> None:
    every = [block for page in PAGES for block in blocks(page, "yaml")]
    ours = [block for block in every if not any(word in block for word in OTHERS_YAML)]
    others = [block for block in every if block not in ours]
    assert ours and all(any(word in block for block in others) for word in OTHERS_YAML)
    spoken = 0
    for number, block in enumerate(ours):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        if "readers:" in block:
            spoken += 1
            assert synthesis_errors(path, accept_licence=False) == []
        else:
            check_train_arguments(["--config", str(path)], data=False)
    assert spoken


def test_keys_of_the_yaml_table_are_all_of_them() -> None:
    text = (ROOT / "docs/recipe.md").read_text(encoding="utf-8")
    table = text[text.index("| key |") :]
    named = {
        key
        for row in re.findall(r"^\| (`.+?) \|", table, re.M)
        for key in re.findall(r"`(\w+)`", row)
    }
    of_espnet = {
        "frontend",
        "frontend_conf",
        "specaug",
        "specaug_conf",
        "normalize",
        "normalize_conf",
    }
    assert named == OWN_OPTIONS - of_espnet - {"overwrite", "sanity"}


def test_every_command_is_listed_and_none_else() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    table = text[: text.index("\n\n", text.index("\n| `"))]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    modules = {path.stem for path in (ROOT / "espnet_otreg/bin").glob("*.py")} - {"__init__"}
    assert set(listed) == modules and len(listed) == len(modules)


def test_the_stages_are_those_of_the_driver() -> None:
    text = (ROOT / "docs/recipe.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE)
    real = re.findall(r"^ +(\d+) (\w+) ", help_of(f"./{RECIPE}"), re.MULTILINE)
    assert told == real and len(real) == 15


def test_sources_models_and_splits_are_those_of_the_code() -> None:
    from espnet_otreg.data.sources import SOURCES
    from espnet_otreg.models_offline.catalogue import CATALOGUE
    from espnet_otreg.text_llm.packages import TEXT_SOURCES

    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for source in [*SOURCES.values(), *TEXT_SOURCES.values()]:
        (row,) = [row for row in rows if f"`{source.name}`" in row]
        assert source.licence.removeprefix("Drascula licence (").rstrip(")") in row
    for model in CATALOGUE.values():
        (row,) = [row for row in rows if f"`{model.name}`" in row]
        assert model.licence.name in row
    sets = json.loads((ROOT / "egs2/mini_multi/slm1/conf/split.json").read_text())["sets"]
    sizes = [f"{sets[name]['utterances']:,}" for name in ("train", "dev", "test", "ood")]
    assert "| " + " | ".join(sizes) + " |" in rows


def test_the_corpus_of_your_own_passes_the_data_stages(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(OWN_CORPUS, "bash") if "my_corpus" in block]
    (script,) = re.findall(r"<<'END'\n(.*?)^END$", block, flags=re.MULTILINE | re.DOTALL)
    mine = write_corpus(tmp_path / "my_data")
    # Beside a template like that of the repository, as the block says.
    recipe = tmp_path / "egs2/my_corpus/slm1"
    (recipe / "local").mkdir(parents=True)
    (tmp_path / "egs2/TEMPLATE").symlink_to(ROOT / "egs2/TEMPLATE")
    source = ROOT / "egs2/mini_multi/slm1"
    subprocess.run(["cp", "-r", source / "conf", source / "run.sh", recipe], check=True)
    (recipe / "conf/split.json").unlink()
    (recipe / "local/data.sh").write_text(script, encoding="utf-8")
    (recipe / "local/data.sh").chmod(0o755)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for words in commands(block):
        if words[0] == "./run.sh" and "--stop_stage" in words:
            words[words.index("--data_root") + 1] = str(mine)
            done = subprocess.run(
                shlex.split(" ".join(words)),
                cwd=recipe,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    texts = {name: (recipe / f"dump/raw/{name}/text").read_text() for name in SETS}
    assert texts == dict.fromkeys(SETS, "it_a parla tre\nit_b ciao\n")
    assert (recipe / "dump/raw/test/utt2domain").read_text() == "it_a test\nit_b test\n"


SETS = ("train", "dev", "test", "ood")


def write_corpus(directory: Path) -> Path:
    """Four sets of two recordings in the layout that own_corpus.md asks for."""
    import numpy as np
    import soundfile

    for name in SETS:
        (directory / name).mkdir(parents=True)
        paths = {key: directory / name / f"{key}.flac" for key in ("it_a", "it_b")}
        for path in paths.values():
            soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 22050)
        tables = {
            "wav.scp": paths,
            "text": {"it_a": "Parla: 3!", "it_b": "«Ciao»"},
            "utt2lang": dict.fromkeys(paths, "it"),
        }
        for table, values in tables.items():
            lines = [f"{key} {value}\n" for key, value in values.items()]
            (directory / name / table).write_text("".join(lines), encoding="utf-8")
    return directory


PROGRAM = """
import sys, torch, yaml
from espnet_otreg.regularizers import AlignmentBatch, parse_regularizers
from espnet_otreg.regularizers.combine import apply_regularizers
named = parse_regularizers(yaml.safe_load(sys.stdin)["regularizers"])
torch.manual_seed(0)
speech = torch.randn(2, 5, 8).masked_fill(torch.arange(10).view(2, 5, 1) > 7, 0).requires_grad_()
speech_mask = torch.arange(5) < torch.tensor([[5], [3]])
ids = torch.tensor([[3, 4, 3], [5, -1, -1]])
text, anchor = torch.randn(2, 3, 8), torch.randn(8)
batch = AlignmentBatch(speech, speech_mask, text, ids, ids >= 0, anchor, 0, 0.06, None)
term, statistics = apply_regularizers(named, batch, step=0)
term.backward()
assert torch.isfinite(speech.grad).all() and not speech.grad[~speech_mask].any()
assert speech.grad[speech_mask].any()
print(*(item.name for item in named), float(statistics["smoothness_weighted"]) > 0)
"""


def test_the_regularizer_of_thirty_lines_works(tmp_path: Path) -> None:
    files = {}
    for block in blocks(OWN_REGULARIZER, "python"):
        match = re.match(r"# (\w+\.py)\n", block)
        if match:
            files[match[1]] = block
    assert set(files) == {"smoothness.py", "setup.py"}
    lines = [line for text in files.values() for line in text.splitlines() if line.strip()]
    assert len(lines) <= 30
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", "site", "."]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True)
    (config,) = [block for block in blocks(OWN_REGULARIZER, "yaml") if "smoothness" in block]
    search = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=config, cwd=tmp_path / "site", text=True,
        env={**os.environ, "PYTHONPATH": search}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "otreg smoothness True\n"


def test_the_python_interface_is_as_shown() -> None:
    (block,) = [block for block in blocks(README, "python") if "from_pretrained" in block]
    tree = ast.parse(block)
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    cls = getattr(importlib.import_module(str(imported.module)), imported.names[0].name)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    methods = {node.func.attr: node for node in calls if isinstance(node.func, ast.Attribute)}
    assert set(methods) == {"from_pretrained", "transcribe"}
    for name, call in methods.items():
        given = {keyword.arg: None for keyword in call.keywords}
        owner = [] if name == "from_pretrained" else [None]
        inspect.signature(getattr(cls, name)).bind(*owner, *call.args, **given)


def test_statistics_and_messages_that_are_quoted_exist() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in [*(ROOT / "espnet_otreg").rglob("*.py"), *(ROOT / "egs2").rglob("*.sh")]
    )
    pages = (README, ROOT / "docs/troubleshooting.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    told = re.findall(r"`((?:otreg|ctc|ce)_[a-z_]+)`", text)
    assert told and [name for name in told if name not in source and name != "otreg_weighted"] == []
    for message in (
        "step skipped, the loss is not finite: utterances",
        "the LLM's pad token is missing or equals BOS or EOS",
        "holds a training run with other settings",
    ):
        assert message in text and message in source
