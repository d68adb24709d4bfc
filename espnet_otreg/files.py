"""Files that are either whole or absent: write to a temporary name, then rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from espnet_otreg.errors import UserError
from espnet_otreg.utf8 import read_utf8


@contextlib.contextmanager
def naming_file(path: str | Path) -> Iterator[None]:
    """Let an operating-system error say which file it concerns.

    ``open`` says so by itself, but ``write`` does not, which is where a full disk is noticed.

    >>> with naming_file("exp/model.pth"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: 'exp/model.pth'
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def flush_directory(directory: str | Path) -> None:
    """Have the disk hold which files a directory has, for a loss of power.

    >>> import tempfile
    >>> flush_directory(tempfile.mkdtemp())
    """
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a file system that knows no such thing
            raise
    finally:
        os.close(number)


def require_name(path: str | Path) -> Path:
    """The path, if it names what can be made: not ``""``, ``/`` or ``..``.

    Raises:
        UserError: if it does not.

    >>> require_name("exp/llm").name
    'llm'
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise UserError("this is no name of what could be made", f"'{path}'", "name it")
    return path


def temporary_name(path: Path) -> Path:
    """Where this thread writes what will become ``path``: no other thread or process does.

    >>> temporary_name(Path("exp/a.json")).name.startswith(".a.json.")
    True
    """
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "w", flush: bool = True) -> Iterator[IO[Any]]:
    """Open ``path`` for writing so that it appears whole, at the end, or not at all.

    Args:
        path: the file to make; missing parent directories are made.
        mode: ``"w"`` (UTF-8, ``\\n``) or ``"wb"``.
        flush: wait until the disk holds it, so that it outlives a loss of power. Of thousands of
            small files that can be made again, waiting would take most of the time.

    Raises:
        UserError: if the path names no file.
        OSError: if the directory cannot be written; the temporary file is removed.

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> with atomic_write(f"{directory}/a/text") as file:
    ...     _ = file.write("hello")
    >>> Path(f"{directory}/a/text").read_text()
    'hello'
    """
    path = require_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)  # of two writers the one that renames last has written it
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with naming_file(path), open(temporary, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            if flush:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if flush:
            flush_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy the content of a file through :func:`atomic_write`.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> write_json(directory / "a.json", [1])
    >>> copy_file(directory / "a.json", directory / "copies/b.json")
    >>> read_json(directory / "copies/b.json")
    [1]
    """
    with open(source, "rb") as original, atomic_write(target, "wb") as copy:
        shutil.copyfileobj(original, copy)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented, key-sorted JSON through :func:`atomic_write`.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.json"
    >>> write_json(path, {"b": 1, "a": 2})
    >>> read_json(path)
    {'a': 2, 'b': 1}
    """
    with atomic_write(path) as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, and belongs to somebody else
    return True


def _remove_leftovers(directory: Path) -> None:
    """Remove what a killed process left beside ``directory``."""
    for leftover in directory.parent.glob(f".{directory.name}.*.*.*"):
        process, _, kind = leftover.name.removeprefix(f".{directory.name}.").split(".", 2)
        if kind in ("tmp", "old") and process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def flush_tree(directory: str | Path) -> None:
    """Have the disk hold all files in a directory and below, for a loss of power.

    >>> import tempfile
    >>> flush_tree(tempfile.mkdtemp())
    """
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        flush_directory(parent)


def publish_directory(fresh: Path, directory: Path) -> None:
    """Put a finished directory in the place of another one, which is removed.

    Two renames and no copy: a reader sees the old directory, none, or the new one.

    Args:
        fresh: on the same file system.
        directory: need not be there.
    """
    old = temporary_name(directory).with_suffix(".old")
    if directory.exists():
        directory.rename(old)
    fresh.rename(directory)
    flush_directory(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def replace_directory(directory: str | Path) -> Iterator[Path]:
    """A fresh directory that takes the place of ``directory`` only when all went well.

    Raises:
        OSError: if it cannot be made; what was there before stays.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "train"
    >>> with replace_directory(target) as fresh:
    ...     write_json(fresh / "text.json", {"a": "one"})
    >>> read_json(target / "text.json")
    {'a': 'one'}
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(directory)
    fresh = temporary_name(directory)
    fresh.mkdir()
    try:
        yield fresh
        publish_directory(fresh, directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if the file is not JSON or not UTF-8, naming file and line.
    """
    try:
        return json.loads(read_utf8(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON ({error})", str(path), "make the file again") from error


def parse_yaml(text: str, where: str) -> Any:
    """What a text in YAML says; only plain values, no Python objects.

    Raises:
        UserError: if it is no YAML, or a key is given twice or is no name, naming the line of
            ``where``.

    >>> parse_yaml("{lr: 0.1, betas: [0, 1]}", "--optim_conf")
    {'lr': 0.1, 'betas': [0, 1]}
    """
    import yaml

    from espnet_otreg.yaml_text import NameLoader, YamlMistake

    try:
        return yaml.load(text, NameLoader)
    except YamlMistake as error:
        raise UserError(error.what, f"{where}:{error.line}", error.mend) from error
    except Exception as error:  # PyYAML raises many kinds, for instance for !!int and a wrong date
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        reason = " ".join(str(getattr(error, "problem", None) or error or "not YAML").split())
        raise UserError(f"not valid YAML ({reason})", place, "correct it") from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        UserError: if the file is missing, not UTF-8, or holds no mapping in YAML, naming the line.
    """
    try:
        text = read_utf8(path)
    except FileNotFoundError as error:
        raise UserError("no such configuration", str(path), "check the path") from error
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise UserError("expected keys and values", str(path), "see conf/ of a recipe")
    return values


def sha256_file(path: str | Path) -> str:
    """Hexadecimal sha256 of a file's content.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/empty"
    >>> Path(path).write_text("")
    0
    >>> sha256_file(path)[:8]
    'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock_directory(directory: str | Path, waits: bool = False) -> Iterator[None]:
    """Hold ``directory`` for this process, so that two runs never write into it at once.

    The lock is the kernel's (``flock`` on ``<directory>/.lock``): a killed process leaves none.

    Args:
        directory: is made if it is not there.
        waits: for another process that holds it.

    Raises:
        UserError: if another process holds it.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"another run (process {file.read().strip() or 'unknown'}) is writing here",
                str(directory),
                "wait for it, stop it, or choose another directory",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
