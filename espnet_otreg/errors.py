"""Errors that end a command with one sentence: what is wrong, where, and how to mend it."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


def shown(text: str) -> str:
    """The text with every character that a terminal does not print as ``<U+...>``; bytes of a file
    name that are no UTF-8 as ``\\xff``.

    >>> shown("a\\u00a0b"), shown("a\\u202eb"), shown("プレス")
    ('a<U+00A0>b', 'a<U+202E>b', 'プレス')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _code(c) for c in text)


def _code(character: str) -> str:
    number = ord(character)
    # Python keeps such a byte as a lone surrogate (PEP 383).
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else f"<U+{number:04X}>"


class UserError(Exception):
    """A mistake in the input: what is wrong, where, and how to mend it.

    Args:
        what: what is wrong, without a full stop.
        where: file, line, utterance or option it concerns; may be empty.
        mend: what the user can do about it; may be empty.

    >>> str(UserError("the transcript is empty", "data/train/text:3", "remove the line"))
    'data/train/text:3: the transcript is empty; remove the line'
    """

    status = 1  # of the command that ends with it

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        # A name may hold a line break, and what is printed is one line.
        place = where.replace("\n", "\\n")
        sentence = f"{place + ': ' if place else ''}{what}{'; ' + mend if mend else ''}"
        super().__init__(shown(sentence.replace("\n", " ")))


class Stopped(UserError):
    """No mistake: a signal asked the work to stop, and the same command goes on with it.

    The exit status is that of sysexits.h for "try again later", which a batch system can be told
    to take for a wish to be queued again (``RequeueExit=75`` of Slurm).

    >>> Stopped("stopped by SIGTERM").status
    75
    """

    status = os.EX_TEMPFAIL


class Interrupted(Stopped):
    """Stopped from the keyboard: the same command goes on, but no batch system should queue it.

    >>> Interrupted("stopped by SIGINT").status
    130
    """

    status = 130


class ConfigErrors(UserError):
    """All the mistakes of one configuration, reported together.

    Args:
        errors: one sentence each.
        where: the configuration file.

    >>> print(ConfigErrors(["projektor: unknown key", "llm_conf.model: missing"], "conf/a.yaml"))
    conf/a.yaml: 2 configuration errors: (1) projektor: unknown key (2) llm_conf.model: missing
    """

    def __init__(self, errors: Sequence[str], where: str = "") -> None:
        self.errors = list(errors)
        count = f"{len(self.errors)} configuration error{'s' if len(self.errors) > 1 else ''}"
        numbered = " ".join(f"({n}) {error}" for n, error in enumerate(self.errors, start=1))
        super().__init__(f"{count}: {numbered}", where)


_SYSTEM_MENDS = {
    errno.ENOSPC: "free some space on that disk or choose another directory",
    errno.EDQUOT: "your quota is used up: free some space or choose another directory",
    errno.EACCES: "give yourself the permission or choose another path",
    errno.EPERM: "give yourself the permission or choose another path",
    errno.EROFS: "choose a directory on a writable file system",
    errno.ENOENT: "check the path",
}


def sentence_for(error: Exception) -> str:
    """One sentence for a :class:`UserError` or an operating-system error.

    >>> sentence_for(FileNotFoundError(2, "No such file or directory", "a.wav"))
    'a.wav: no such file or directory; check the path'
    """
    if isinstance(error, OSError) and error.errno is not None:
        reason = (error.strerror or "system error").lower()
        mend = _SYSTEM_MENDS.get(error.errno, "")
        return str(UserError(reason, str(error.filename or ""), mend))
    raised = getattr(error, "what", str(error))
    if "in DataLoader worker process" in raised:
        # PyTorch hands on what a worker raises as the text of its traceback; the last line is ours.
        return re.sub(r"^[\w.]+: ", "", raised.strip().splitlines()[-1])
    return shown(str(error).strip().replace("\n", " "))


def missing_package(error: ModuleNotFoundError) -> UserError:
    """What to tell a user for whom a package is not installed.

    Args:
        error: of the import.

    Raises:
        ModuleNotFoundError: if it is one of our own modules, or a part of a package that is there,
            which is a defect.

    >>> print(missing_package(ModuleNotFoundError("no peft5", name="peft5.lora")))
    the package peft5 is not installed; run tools/install.sh, or pip install 'espnet_otreg[espnet]'
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", __name__.partition(".")[0]) or importlib.util.find_spec(package):
        raise error
    return UserError(
        f"the package {package} is not installed",
        mend="run tools/install.sh, or pip install 'espnet_otreg[espnet]'",
    )


def run_main(main: Callable[[], None]) -> NoReturn:
    """Run a command line: a user's mistake ends in one sentence on stderr and exit status 1.

    A command that was asked to stop ends in one sentence too, with the status of :class:`Stopped`,
    and so does one for which a package is not installed. Anything else is a defect of ours and
    keeps its traceback.
    """
    try:
        try:
            main()
        except ModuleNotFoundError as error:
            raise missing_package(error) from error
    except (UserError, OSError) as error:
        print(f"error: {sentence_for(error)}", file=sys.stderr)
        sys.exit(error.status if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(Interrupted.status)
    sys.exit(0)
