"""Marks of transcribers and tokenizers with a known meaning.

From the conventions of LDC (Switchboard, Fisher, CallHome), WSJ, TED-LIUM, BABEL, CHAT, CMU Sphinx,
GigaSpeech, Kaldi, HTK, and the special tokens of tokenizers. What may also be a word that somebody
has restored ("[in] the house") is not among them.
"""

from __future__ import annotations

import re

# What stands inside of a mark, in lower case, words joined by hyphens.
_SOUNDS = frozenset(
    """
    noise noises nsn spn sil silence pause short-pause long-pause
    breath breathe breathes breathing inhale inhales exhale exhales gasp gasps sigh sighs
    laugh laughs laughing laughter chuckle chuckles giggle giggles
    cough coughs coughing sneeze sneezes sniff sniffs sniffle sniffles yawn yawns
    clear-throat clears-throat throat-clearing clearing-throat lipsmack lip-smack lipsmacks smack
    click clicks tongue-click mouth-noise mouth-noises groan groans scream screams screaming
    music song-playing music-playing background-music applause clapping cheering
    beep beeps ring ringing phone-ringing telephone-ringing dial-tone dtmf static
    background-noise background-speech background-voices bg bg-noise
    vocalized-noise v-noise vocal-noise spoken-noise human-noise speaker-noise
    nonvocalized-noise non-vocal-noise non-speech nonspeech no-speech non-speech-noise
    channel-noise line-noise door-slam paper-rustling garbage blank-audio
    unintelligible unintelligible-speech inaudible indiscernible indistinct incomprehensible
    unk unknown unknown-word oov mumble mumbles mumbling crosstalk cross-talk
    hes hesitation hesitations filler filled-pause fp um umm uh uhh uhm err erm ahh ehm
    hm hmm mmm mhm mm-hm mm-hmm uh-huh
    """.split()
)
# In <> only, where no word stands: special tokens, and markup with the slash of its end taken off.
_TOKENS = frozenset(
    """
    s w bos eos sos eps sos/eos pad cls sep mask blank bot eot unk n ns sta int other
    i b u em strong br p font
    """.split()
)
# In [] too, as BERT writes them.
_BERT_TOKENS = frozenset({"[CLS]", "[SEP]", "[PAD]", "[MASK]", "[BOS]", "[EOS]"})
PUNCTUATION = {
    "comma": ",", "period": ".", "full-stop": ".", "fullstop": ".", "colon": ":",
    "semicolon": ";", "questionmark": "?", "question-mark": "?", "exclamationpoint": "!",
    "exclamation-point": "!", "exclamationmark": "!", "exclamation-mark": "!", "ellipsis": "...",
}  # fmt: skip


def content_of(mark: str) -> str:
    """What stands inside of a mark, in the spelling of the lists above.

    >>> content_of("[Vocalized Noise]"), content_of("</S>"), content_of("(( lip_smack ))")
    ('vocalized-noise', 's', 'lip-smack')
    """
    inside = re.sub(r"^\W+|\W+$", "", mark.replace("_", "-").casefold())
    return re.sub(r"[\s-]+", "-", inside)


def is_sound(content: str) -> bool:
    """Whether a mark stands for a sound, silence or unintelligible speech, not for a word.

    >>> is_sound("noise"), is_sound("hesitation"), is_sound("door"), is_sound("s")
    (True, True, False, False)
    """
    return content in _SOUNDS


def is_known(mark: str) -> bool:
    """Whether nothing of a mark in brackets is read aloud.

    >>> is_known("[noise]"), is_known("</s>"), is_known("[s]"), is_known("(())"), is_known("[so]")
    (True, True, False, True, False)
    """
    content = content_of(mark)
    if mark[0] == "<" and content in _TOKENS:
        return True
    return not content or is_sound(content) or mark in _BERT_TOKENS
