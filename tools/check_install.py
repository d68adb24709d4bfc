#!/usr/bin/env python3
"""Compare the installed packages with the versions that espnet_otreg and its dependencies need.

The ranges are read from the installed packages themselves (setup.py states ours). Standard library
only, and readable by old Pythons too, so that a wrong Python gets a sentence and not a traceback.
"""

from __future__ import annotations

import argparse
import ast
import operator
import os
import platform
import re
import shlex
import sys
from pathlib import Path

PACKAGE = "espnet_otreg"
SETUP = Path(__file__).resolve().parent.parent / "setup.py"

VERSION = re.compile(
    r"^\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[._-]?(?P<kind>a|b|c|rc|alpha|beta|pre|preview)[._-]?(?P<number>\d*))?"
    r"(?:(?:[._-]?(?:post|rev|r)[._-]?|-)(?P<post>\d+))?"
    r"(?:[._-]?dev[._-]?(?P<dev>\d*))?(?:\+[a-z0-9._-]+)?\s*$",
    re.IGNORECASE,
)
SPECIFIER = re.compile(r"\s*(===|==|!=|<=|>=|~=|<|>)\s*([^\s,]+)\s*")
REQUIREMENT = re.compile(
    r"^\s*(?P<name>[\w.-]+)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<versions>[^;]*?)\s*"
    r"(?:;\s*(?P<marker>.*))?$"
)
ORDER = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def version_key(text: str) -> tuple:
    """What orders versions as PEP 440 does; the local part (``+cpu``) does not count.

    >>> version_key("2.14.1+cpu") == version_key("2.14.1.0")
    True
    >>> version_key("3.0rc1") < version_key("3.0") < version_key("3.0.post1")
    True
    """
    match = VERSION.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a version")
    release = [int(part) for part in match["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    # A development version sorts below its pre-releases, those below the release itself.
    if match["kind"]:
        kind = {"c": "rc", "pre": "rc", "preview": "rc", "alpha": "a", "beta": "b"}
        name = match["kind"].lower()
        stage = (1, kind.get(name, name), int(match["number"] or 0))
    else:
        stage = (0 if match["dev"] is not None and match["post"] is None else 2, "", 0)
    post = int(match["post"]) if match["post"] else -1
    dev = int(match["dev"] or 0) if match["dev"] is not None else float("inf")
    return int(match["epoch"] or 0), tuple(release), stage, post, dev


def _release(text: str, length: int) -> tuple:
    release = version_key(text)[1]
    return (release + (0,) * length)[:length]


def satisfies(version: str, specifiers: str) -> bool:
    """Whether a version lies in a range such as ``>=2.11,!=2.12.*,<2.15``.

    >>> [satisfies(v, ">=2.11,!=2.12.*,<2.15") for v in ("2.14.1+cu130", "2.12.1", "2.15rc1")]
    [True, False, False]
    """
    key = version_key(version)
    for symbol, wanted in SPECIFIER.findall(specifiers):
        length = wanted.count(".") + 1
        if symbol == "===":
            holds = version == wanted
        elif wanted.endswith(".*"):
            same = _release(version, length - 1) == _release(wanted[:-2], length - 1)
            holds = same == (symbol == "==")
        elif symbol == "~=":
            same = _release(version, length - 1) == _release(wanted, length - 1)
            holds = same and key >= version_key(wanted)
        else:
            bound = version_key(wanted)
            holds = ORDER[symbol](key, bound)
            # <3 leaves out 3rc1, although that sorts below 3.
            if symbol == "<" and key[:2] == bound[:2] and bound[2][0] == 2:
                holds = False
        if not holds:
            return False
    return True


def environment() -> dict:
    """The values that the markers of requirements may ask for."""
    return {
        "os_name": os.name,
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "python_full_version": platform.python_version(),
    }


def marker_holds(marker: str, values: dict) -> bool:
    """Whether ``python_version < "3.13" and extra == "test"`` holds (its syntax is Python's).

    >>> marker_holds('python_version < "3.9" or extra == "a"', {"python_version": "3.12",
    ...                                                         "extra": "a"})
    True
    """

    def value(node: ast.expr):
        if isinstance(node, ast.BoolOp):
            results = [value(part) for part in node.values]
            return all(results) if isinstance(node.op, ast.And) else any(results)
        if isinstance(node, ast.Compare):
            return compare(node.ops[0], value(node.left), value(node.comparators[0]))
        if isinstance(node, ast.BinOp):  # ~=, see below
            return satisfies(value(node.left), "~=" + value(node.right))
        if isinstance(node, ast.Name):
            return values[node.id]
        return ast.literal_eval(node)

    def compare(symbol: ast.cmpop, left: str, right: str) -> bool:
        if isinstance(symbol, (ast.In, ast.NotIn)):
            return (left in right) == isinstance(symbol, ast.In)
        names = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
        name = names.get(type(symbol), "!=")
        if VERSION.match(left) and VERSION.match(right.replace(".*", "")):
            return satisfies(left, name + right)
        return ORDER[name](left, right)

    # Python has no ~=; of its operators, @ binds as that does.
    return value(ast.parse(marker.strip().replace("~=", "@"), mode="eval").body)


def canonical(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_conflicts(extras: list) -> tuple:
    """Walk the requirements of espnet_otreg down to the last dependency.

    Returns:
        The number of packages seen, and a dictionary from the name of each missing or unfit
        package to ``(installed version or None, unmet needs, all needs)``; a need is
        ``(who needs it, range)``.

    Raises:
        importlib.metadata.PackageNotFoundError: if espnet_otreg itself is not installed.
    """
    from importlib import metadata

    values = environment()
    needs: dict = {}
    versions: dict = {canonical(PACKAGE): metadata.version(PACKAGE)}
    queue = [(PACKAGE, extra) for extra in ["", *extras]]
    seen = set(queue)
    while queue:
        owner, owner_extra = queue.pop()
        for line in metadata.requires(owner) or []:
            match = REQUIREMENT.match(line)
            marker = match["marker"]
            if marker and not marker_holds(marker, dict(values, extra=owner_extra)):
                continue
            if owner_extra and not marker:
                continue  # Met already, when the package was walked without extras.
            name = canonical(match["name"])
            if name not in versions:
                try:
                    versions[name] = metadata.version(match["name"])
                except metadata.PackageNotFoundError:
                    versions[name] = None
            wanted = (owner, match["versions"].strip("() "))
            if wanted not in needs.setdefault(name, []):
                needs[name].append(wanted)
            if versions[name] is None:
                continue
            wanted_extras = [e.strip() for e in (match["extras"] or "").split(",") if e.strip()]
            for step in [(name, extra) for extra in ["", *wanted_extras]]:
                if step not in seen:
                    seen.add(step)
                    queue.append(step)
    conflicts = {}
    for name, wanted in sorted(needs.items()):
        version = versions[name]
        unfit = [need for need in wanted if version is None or not satisfies(version, need[1])]
        if unfit:
            conflicts[name] = (version, unfit, wanted)
    return len(versions), conflicts


def python_sentence() -> str:
    """What is wrong with this Python, or nothing."""
    wanted = re.search(r'python_requires="([^"]+)"', SETUP.read_text(encoding="utf-8"))[1]
    version = "{}.{}.{}".format(*sys.version_info[:3])
    if satisfies(version, wanted):
        return ""
    return f"Python {version} ({sys.executable}) is not in the range {wanted}"


def main() -> int:
    """Print the conflicts and the command that mends them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--extras",
        default="espnet",
        help="extras of espnet_otreg to check, such as espnet,report,test (default: espnet)",
    )
    parser.add_argument(
        "--python_only", action="store_true", help="check the version of this Python and no more"
    )
    arguments = parser.parse_args()
    problem = python_sentence()
    if problem:
        mend = "tools/install.sh finds a suitable one, or says how to get it"
        print(f"error: {problem}; {mend}", file=sys.stderr)
        return 1
    if arguments.python_only:
        return 0
    from importlib import metadata

    try:
        count, conflicts = find_conflicts([e for e in arguments.extras.split(",") if e])
    except metadata.PackageNotFoundError:
        problem = f"{PACKAGE} is not installed in {sys.prefix}"
        print(f"error: {problem}; run tools/install.sh", file=sys.stderr)
        return 1
    for name, (version, unfit, _) in conflicts.items():
        found = f"{name} {version} is installed" if version else f"{name} is not installed"
        owners = " and ".join(f"{owner} needs {name}{versions}" for owner, versions in unfit)
        print(f"error: {found}, but {owners}", file=sys.stderr)
    if conflicts:
        wanted = [
            name + ",".join(dict.fromkeys(versions for _, versions in needs if versions))
            for name, (_, _, needs) in conflicts.items()
        ]
        command = shlex.join([sys.executable, "-m", "pip", "install", *wanted])
        print(f"mend it with: {command}", file=sys.stderr)
        return 1
    print(f"{PACKAGE} and its dependencies: {count} packages, all in the ranges needed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
