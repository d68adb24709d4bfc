"""The order of the package: who may import whom, and that no two modules import each other.

All imports count, those inside functions and for type checkers too: a circle that is not noticed
today is one that the next change runs into.
"""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "espnet_otreg"

# From the lowest layer to the highest. A room imports from its own layer and from those below.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("files of the package itself",),
    ("data", "scoring", "ot", "models_offline"),
    ("regularizers",),
    ("slm",),
    ("objectives",),
    ("tasks", "decoding", "features", "text_llm"),
    ("inference",),
    ("recipe", "report"),
    ("bin",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def import_graph(root: Path, package: str) -> dict[str, set[str]]:
    """Module -> modules of the same package that it imports, wherever the import stands."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (root / package).rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{path}: a relative import"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {name if name in paths else node.module for name in inner}
        graph[module] = {name for name in named if name in paths}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, beginning and ending with the same; or none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph(ROOT, PACKAGE)


def room(module: str) -> str:
    """The folder of a module; modules beside the folders are one room."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in RANK else LAYERS[0][0]


def test_no_modules_import_each_other(graph: dict[str, set[str]]) -> None:
    assert len(graph) > 200
    assert circle(graph) == []


def test_no_layer_imports_from_one_above(graph: dict[str, set[str]]) -> None:
    upwards = [
        f"{module} imports {other}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        # The package's own names are imported from above when they are asked for.
        if module != PACKAGE and RANK[room(module)] < RANK[room(other)]
    ]
    assert upwards == []


def test_every_folder_has_its_layer() -> None:
    folders = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert folders - RANK.keys() == set()


def test_circles_are_found_in_functions_and_for_type_checkers(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "a.py": "def f():\n    from room import b\n",
        "b.py": "if TYPE_CHECKING:\n    from room.c import C\n",
        "c.py": "import room.d\n",
        "d.py": "",
    }
    (tmp_path / "room").mkdir()
    for name, text in files.items():
        (tmp_path / "room" / name).write_text(text)
    graph = import_graph(tmp_path, "room")
    assert graph["room.a"] == {"room.b"} and graph["room.c"] == {"room.d"}
    assert circle(graph) == []
    (tmp_path / "room/d.py").write_text("def f():\n    from room.a import f\n")
    assert set(circle(import_graph(tmp_path, "room"))) == {f"room.{name}" for name in "abcd"}
