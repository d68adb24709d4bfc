"""eSpeak NG's Italian voice as a process of its own: lines of JSON in, WAV files out.

Every text is read by a fork of the freshly started library, because the noise in its consonants
depends on all that it has said before.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import wave

VOICE = b"it"
# Of espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_POS_CHARACTER = 1
_CHARS_UTF8 = 1
_EE_OK = 0
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def start() -> tuple[ctypes.CDLL, int]:
    """The library with the voice chosen, and its sampling rate in Hz.

    Raises:
        RuntimeError: if the library does not start or lacks the voice.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = int(library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0))
    if rate <= 0 or library.espeak_SetVoiceByName(VOICE) != _EE_OK:
        raise RuntimeError("eSpeak NG does not start")
    return library, rate


def speak(library: ctypes.CDLL, text: str) -> bytes:
    """16-bit samples of a text.

    Raises:
        RuntimeError: if the library refuses the text.
    """
    samples = bytearray()

    def keep(wav: object, count: int, _events: object) -> int:
        if wav and count > 0:
            samples.extend(ctypes.string_at(wav, 2 * count))  # type: ignore[arg-type]
        return 0

    callback = _CALLBACK(keep)
    library.espeak_SetSynthCallback(callback)
    data = text.encode()
    position, end, flags = 0, 0, _CHARS_UTF8
    code = library.espeak_Synth(
        data, ctypes.c_size_t(len(data) + 1), position, _POS_CHARACTER, end, flags, None, None
    )
    if code != _EE_OK or library.espeak_Synchronize() != _EE_OK:
        raise RuntimeError(f"eSpeak NG cannot read: {text}")
    return bytes(samples)


def main() -> None:
    """Speak every ``{"text": .., "path": ..}`` line of the standard input."""
    library, rate = start()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            with wave.open(request["path"], "wb") as file:
                file.setparams((1, 2, rate, 0, "NONE", ""))
                file.writeframes(speak(library, request["text"]))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            sys.exit(f"eSpeak NG cannot read: {request['text']}")


if __name__ == "__main__":
    main()
