"""Reading of text files: byte order marks, other encodings, invisible characters."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

from espnet_otreg.errors import UserError, shown

# The longer marks first: that of UTF-32 begins like that of UTF-16.
_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def other_encoding(content: bytes) -> str | None:
    """The encoding that a file seems to have if it is not UTF-8.

    By its byte order mark, or by zero bytes, which no file of text in UTF-8 has.

    >>> other_encoding("a Guten Tag".encode("utf-16")), other_encoding("b ж".encode("utf-16-le"))
    ('UTF-16', 'UTF-16')
    >>> print(other_encoding("\\ufeffa é".encode("utf-8")), other_encoding("a é".encode("latin-1")))
    None an 8-bit encoding such as ISO-8859-1
    """
    for mark, name in _OTHER_MARKS.items():
        if content.startswith(mark):
            return name
    if 5 * content.count(0) > len(content):
        return "UTF-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "an 8-bit encoding such as ISO-8859-1"
    return None


def not_utf8(content: bytes, where: str) -> UserError:
    """The sentence about a file that is not UTF-8, with the encoding that it seems to have.

    >>> print(not_utf8("a é".encode("utf-16"), "data/text"))
    data/text: not UTF-8, it looks like UTF-16; save the file as UTF-8
    """
    looks = other_encoding(content)
    seems = f", it looks like {looks}" if looks else ""
    return UserError(f"not UTF-8{seems}", where, "save the file as UTF-8")


def read_utf8(path: str | Path) -> str:
    """The text of a file, without the byte order mark that editors of Windows put before it.

    Raises:
        UserError: if it is not UTF-8, naming the encoding that it seems to have.
        OSError: if it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "text"
    >>> _ = path.write_text("\\ufeffa one\\n", encoding="utf-8")
    >>> read_utf8(path)
    'a one\\n'
    """
    content = Path(path).read_bytes()
    try:
        if content.startswith(tuple(_OTHER_MARKS)):
            raise not_utf8(content, str(path))
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(content, str(path)) from error


def visible(text: str) -> str:
    """The text with every invisible character as ``<U+...>``, for messages.

    Beside what :func:`espnet_otreg.errors.shown` shows these are the combining marks of text that
    is not in normal form C, where they look as if they were part of a letter.

    >>> visible("a\\u00a0b"), visible("a\\u200bb"), visible("cafe\\u0301"), visible("प्राचीन")
    ('a<U+00A0>b', 'a<U+200B>b', 'cafe<U+0301>', 'प्राचीन')
    """
    if unicodedata.normalize("NFC", text) == text:
        return shown(text)
    return "".join(
        f"<U+{ord(c):04X}>" if unicodedata.category(c)[0] == "M" else shown(c) for c in text
    )
