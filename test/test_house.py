"""The rules of the house: who imports what, what every function explains, what stays out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "espnet_otreg"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What may import espnet2, which takes 10 seconds and 1 GB: files, and folders or files so called.
ESPNET_PLACES = ("tasks/", "slm/model.py", "slm/encoders")
HEAVY = ("espnet2", "espnet", "torch", "torchaudio", "transformers", "peft", "triton")


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    files = [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    assert Path(__file__).resolve() in files
    return files


def modules(*patterns: str) -> list[Path]:
    """The modules of some patterns, each of which must fit one: a renamed room is no empty one."""
    found = {pattern: sorted(PACKAGE.glob(pattern)) for pattern in patterns}
    assert all(found.values()), found
    return [path for paths in found.values() for path in paths]


def imports(path: Path, only_at_import: bool = False) -> Iterator[str]:
    """Dotted names of what a file imports; those inside functions and TYPE_CHECKING on request."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield child.module or ""
            elif only_at_import and isinstance(child, (ast.FunctionDef, ast.Lambda)):
                continue
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue  # never run: for type checkers
            else:
                yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


def short(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_ot_imports_torch_and_the_standard_library_only() -> None:
    allowed = {*sys.stdlib_module_names, "torch"}
    own = ("espnet_otreg.ot", "espnet_otreg.arguments", "espnet_otreg.precision")
    kernels = ("ot/fused_kernel.py", "triton")  # imported where a GPU runs them, if it is there
    strangers = [
        f"{short(path)}: {name}"
        for path in modules("ot/**/*.py")
        for name in imports(path)
        if name.split(".")[0] not in allowed and not name.startswith(own)
        if (short(path), name.split(".")[0]) != kernels
    ]
    assert strangers == []


def test_scoring_data_and_recipe_name_no_heavy_package() -> None:
    found = [
        f"{short(path)}: {name}"
        for path in modules("scoring/**/*.py", "data/**/*.py", "recipe/**/*.py")
        for name in imports(path)
        if name.split(".")[0] in HEAVY
    ]
    assert found == []


def test_espnet_is_imported_in_its_places_only() -> None:
    found = {
        short(path)
        for path in MODULES
        for name in imports(path)
        if name.split(".")[0] in ("espnet", "espnet2")
    }
    for place in ESPNET_PLACES:
        assert any(path.startswith(place) for path in found), place
    assert [path for path in sorted(found) if not path.startswith(ESPNET_PLACES)] == []


def test_command_lines_import_nothing_heavy_before_main() -> None:
    found = [
        f"{short(path)}: {name}"
        for path in modules("bin/*.py")
        for name in imports(path, only_at_import=True)
        if name.split(".")[0] in HEAVY
    ]
    assert found == []


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


LIGHT = {
    "scoring": ["scoring/*.py"],
    "data": ["data/*.py"],
    "recipe": ["recipe/*.py"],
    "bin": ["bin/*.py"],
    "config": ["config.py", "slm/config.py"],
}
CHECK = """
from espnet_otreg.regularizers import parse_regularizers
parse_regularizers([{'otreg': {'weight': 0.3}}, {'ctc': {'weight': 0.3}}])
"""


def test_light_modules_and_a_check_of_the_configuration_load_nothing_heavy() -> None:
    steps = {
        name: "".join(f"import {module_name(path)}\n" for path in modules(*patterns))
        for name, patterns in LIGHT.items()
    }
    code = f"""
import sys
for name, code in {steps | {"check": CHECK}!r}.items():
    exec(code)
    print(name, *(name for name in {HEAVY!r} if name in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == [*LIGHT, "check"], run.stderr


def public_functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


# What an example can write in a line. A file, a model or a half-made result takes a test instead.
PLAIN_TYPES = set("str int float bool bytes None list dict tuple set Sequence Mapping".split())
PLAIN_TYPES |= {"Iterable", "Iterator", "Collection", "Literal", "Tensor"}
FILE_PARAMETERS = {"path", "paths", "directory", "output", "data", "file", "model", "source"}
FILE_PARAMETERS |= {"variables"}  # of a checkpoint


def takes_plain_values(function: ast.FunctionDef) -> bool:
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [function.returns, *(parameter.annotation for parameter in parameters)]
    types = {
        node.id
        for annotation in annotations
        for node in ast.walk(annotation or ast.Constant(None))
        if isinstance(node, ast.Name)
    }
    names = {parameter.arg for parameter in parameters}
    does_something = isinstance(function.returns, ast.Constant)  # and returns None
    plain = types <= PLAIN_TYPES and not names & FILE_PARAMETERS
    return bool(parameters) and plain and not does_something


def public(nodes: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node


def test_every_public_function_class_and_method_is_explained() -> None:
    silent = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes: dict[str, ast.Module | ast.FunctionDef | ast.ClassDef] = {"the module": tree}
        for node in public(tree.body):
            nodes[node.name] = node
            if isinstance(node, ast.ClassDef):
                nodes |= {f"{node.name}.{method.name}": method for method in public(node.body)}
        silent += [f"{short(path)}: {name}" for name, node in nodes.items()
                   if not ast.get_docstring(node)]  # fmt: skip
    assert silent == []


def test_every_public_function_of_plain_values_shows_an_example() -> None:
    # A command line is shown by its --help, which test_packaging.py runs.
    silent = [
        f"{short(path)}: {node.name}"
        for path in MODULES
        if not short(path).startswith("bin/")
        for node in public_functions(path)
        if takes_plain_values(node) and ">>>" not in (ast.get_docstring(node) or "")
    ]
    assert silent == []


# In pieces, so that this file does not find itself.
STUBS = [
    "raise Not" + "ImplementedError",
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X",
    r"pytest\." + "skip",
    r"mark\." + "skip",
    "xf" + "ail",
    "import" + "orskip",
    "unittest." + "mock",
    "Magic" + "Mock",
]


def test_nothing_is_left_undone_skipped_or_mocked() -> None:
    pattern = re.compile(r"\b(" + "|".join(STUBS) + r")\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked_files()
        if path.suffix in (".py", ".sh", ".pl", ".md", ".yaml", ".toml")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_no_file_names_a_place_on_one_machine() -> None:
    places = [str(ROOT), str(Path.home()) + "/"] + [f"/{name}/" for name in ("root", "home")]
    found = [
        f"{path.relative_to(ROOT)}: {place}"
        for path in tracked_files()
        if path != Path(__file__).resolve() and path.stat().st_size < 1_000_000
        for place in places
        # A path of the machine starts a word; inside a longer path the name is harmless.
        if re.search(
            rf"(?<![\w.}}~*\]-]){re.escape(place)}",
            path.read_text(encoding="utf-8", errors="replace"),
        )
    ]
    assert found == []


def test_large_files_stay_out() -> None:
    large = [path for path in tracked_files() if path.stat().st_size > 1_000_000]
    assert large == []
