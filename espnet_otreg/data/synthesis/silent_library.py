"""Shared libraries in which a function is only a name: audio output for programs that play nothing.

Flite, Festival and RHVoice are linked with the libraries of ALSA, PulseAudio and PortAudio, which
a machine without a sound card often lacks. They do not start without, though they call none of it
when they write a file. The format is ELF for x86-64 (System V ABI; symbol versions as in the Linux
Standard Base).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

# Library -> version of its symbols -> what the programs of packages.py are linked with.
AUDIO_LIBRARIES: dict[str, dict[str, str]] = {
    "libasound.so.2": {
        "ALSA_0.9": "snd_config_update_free_global snd_pcm_close snd_pcm_drain snd_pcm_drop "
        "snd_pcm_hw_params snd_pcm_hw_params_any snd_pcm_hw_params_set_access "
        "snd_pcm_hw_params_set_channels snd_pcm_hw_params_set_format snd_pcm_hw_params_set_rate "
        "snd_pcm_hw_params_sizeof snd_pcm_open snd_pcm_prepare snd_pcm_resume snd_pcm_set_params "
        "snd_pcm_state snd_pcm_wait snd_pcm_writei snd_strerror",
        "ALSA_0.9.0rc4": "snd_pcm_hw_params_set_rate_near",
    },
    "libpulse-simple.so.0": {
        "PULSE_0": "pa_simple_drain pa_simple_flush pa_simple_free pa_simple_new pa_simple_write"
    },
    "libportaudio.so.2": {
        "": "Pa_AbortStream Pa_CloseStream Pa_GetDefaultHostApi Pa_GetDeviceInfo "
        "Pa_GetHostApiInfo Pa_HostApiDeviceIndexToDeviceIndex Pa_HostApiTypeIdToHostApiIndex "
        "Pa_Initialize Pa_IsStreamStopped Pa_OpenStream Pa_StartStream Pa_StopStream Pa_Terminate "
        "Pa_WriteStream"
    },
}
_HEADER, _SEGMENT = 64, 56  # bytes of the file's header and of one of a segment
_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551
_READ_WRITE = 6
_FUNCTION = 0x12  # global
_HASH, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _SONAME = 4, 5, 6, 10, 11, 14
_VERSYM, _VERDEF, _VERDEFNUM = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD


def elf_hash(name: str) -> int:
    """The hash of a name that the System V ABI prescribes.

    >>> hex(elf_hash("GLIBC_2.2.5"))
    '0x9691a75'
    """
    total = 0
    for byte in name.encode():
        total = (total << 4) + byte
        high = total & 0xF0000000
        total = (total ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return total


def _version_definitions(versions: list[str], at: Mapping[str, int]) -> bytes:
    """One definition for each version; the first names the library itself."""
    definitions = b""
    for number, name in enumerate(versions, start=1):
        is_base, is_last = number == 1, number == len(versions)
        follows = 0 if is_last else 28
        definitions += struct.pack(
            "<HHHHIII", 1, int(is_base), number, 1, elf_hash(name), 20, follows
        )
        definitions += struct.pack("<II", at[name], 0)
    return definitions


def silent_library(name: str, symbols: Mapping[str, str]) -> bytes:
    """The content of a shared library whose functions do nothing, and must not be called.

    Args:
        name: the library's own (SONAME).
        symbols: version of the symbols, or "" for none -> their names.

    >>> silent_library("libnone.so.1", {"": "open close"})[:4]
    b'\\x7fELF'
    """
    versions = [name, *(version for version in symbols if version)]
    listed = [(one, version) for version, names in symbols.items() for one in names.split()]
    strings, at = b"\0", {}
    for text in [*versions, *(symbol for symbol, _ in listed)]:
        at[text] = len(strings)
        strings += text.encode() + b"\0"
    count = len(listed) + 1  # the first symbol is none
    table, numbers = bytes(24), [0]
    for symbol, version in listed:
        table += struct.pack("<IBBHQQ", at[symbol], _FUNCTION, 0, 1, _HEADER, 0)
        numbers.append(versions.index(version) + 1 if version else 1)
    chain = [0, *range(2, count), 0]  # one bucket, in which every symbol leads to the next
    parts = {
        _HASH: struct.pack(f"<{3 + count}I", 1, count, 1, *chain[:count]),
        _SYMTAB: table,
        _STRTAB: strings,
        _VERSYM: struct.pack(f"<{count}H", *numbers),
        _VERDEF: _version_definitions(versions, at),
    }
    body, place, entries = b"", _HEADER + 3 * _SEGMENT, []
    for tag, content in parts.items():
        entries.append((tag, place + len(body)))
        body += content + bytes(-len(content) % 8)
    entries += [(_STRSZ, len(strings)), (_SYMENT, 24), (_SONAME, at[name])]
    entries += [(_VERDEFNUM, len(versions)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    start = place + len(body)
    size = start + len(dynamic)
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, _HEADER, 0, 0, _HEADER, _SEGMENT, 3, 64, 0, 0
    )
    segments = [(_LOAD, 0, size, 0x1000), (_DYNAMIC, start, len(dynamic), 8), (_STACK, 0, 0, 16)]
    for kind, offset, length, align in segments:
        fields = (offset, offset, offset, length, length, align)
        header += struct.pack("<IIQQQQQQ", kind, _READ_WRITE, *fields)
    return header + body + dynamic
