"""eSpeak NG, by the library of the package espeakng-loader: many languages, variants of voices."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

from espnet_otreg.data.synthesis.engines.base import Speech
from espnet_otreg.data.synthesis.request import Request

# Of espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_POS_CHARACTER = 1
_CHARS_UTF8 = 1
_EE_OK = 0
_RATE, _PITCH = 1, 3
_SEED = 1
_OWN_RATE, _OWN_PITCH = 175, 50  # words a minute; of 0 to 99
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """eSpeak NG. The noise in its consonants depends on all that it has said before, so every text
    needs a fork of the freshly started library; that of its variants' breath on a seed, which the
    library takes from the clock."""

    def __init__(self, voices_dir: Path | None = None) -> None:
        self._library: ctypes.CDLL | None = None
        self._rate = 0

    def has(self, voice: str) -> bool:
        """Whether the package is installed, which has all voices."""
        return importlib.util.find_spec("espeakng_loader") is not None

    def start(self) -> None:
        """Load the library.

        Raises:
            ValueError: if it does not start.
        """
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._rate = int(library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0))
        if self._rate <= 0:
            raise ValueError("eSpeak NG does not start")
        self._library = library

    def speak(self, request: Request) -> Speech:
        """Read a text; the engine's scale of pitch has its own at its middle.

        Raises:
            ValueError: if the library refuses voice or text.
        """
        library = self._library
        assert library is not None, "not started"
        library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        if library.espeak_SetVoiceByName(request.voice.encode()) != _EE_OK:
            raise ValueError(f"eSpeak NG has no voice {request.voice}")
        if request.speed != 1.0:
            library.espeak_SetParameter(_RATE, round(_OWN_RATE * request.speed), 0)
        if request.pitch != 1.0:
            library.espeak_SetParameter(_PITCH, min(99, round(_OWN_PITCH * request.pitch)), 0)
        samples = bytearray()

        def keep(wav: object, count: int, _events: object) -> int:
            if wav and count > 0:
                samples.extend(ctypes.string_at(wav, 2 * count))  # type: ignore[arg-type]
            return 0

        callback = _CALLBACK(keep)
        library.espeak_SetSynthCallback(callback)
        data = request.text.encode()
        size, position, end = ctypes.c_size_t(len(data) + 1), 0, 0
        code = library.espeak_Synth(
            data, size, position, _POS_CHARACTER, end, _CHARS_UTF8, None, None
        )
        if code != _EE_OK or library.espeak_Synchronize() != _EE_OK:
            raise ValueError(f"eSpeak NG cannot read: {request.text}")
        return Speech(bytes(samples), self._rate)
