"""Mouth shapes: Amazon Polly's symbols are the house alphabet; other alphabets and phonemes map to and from it.

Polly's 23 symbols (:data:`CODES`) cover all of its languages: ``p t S T f k i r s u @ a e E o O`` and ``sil`` for
English, ``J B x 0 E: i:`` for others. A code that is not known counts as :data:`NEUTRAL`: nothing here raises.

===  =====================  ===  =====================  ===  ==============
p    lips closed: p b m     i    spread: iy ih y        a    open: ae aa ay
t    tongue to ridge        r    slightly rounded: r    e    mid spread: ey
S    sh zh ch jh            s    teeth together: s z    E    mid open: eh er
T    tongue between teeth   u    tight round: uw uh w   o    round mid: ow
f    lip to teeth: f v      @    neutral vowel          O    round open: ao
k    back: k g ng h         sil  rest
===  =====================  ===  =====================  ===  ==============
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

CODES: frozenset[str] = frozenset([*"ptSTfkirsu@aeEoOJBx0", "E:", "i:", "sil"])
"""Every symbol that Polly uses, over all its languages."""

NEUTRAL = "@"
"""What stands for a code or a sound that is not known: something is being said."""

SILENCE = "sil"


def _table(pairs: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs.split())


# ---------------------------------------------------------------- from phonemes

_VOWELS: dict[str, str] = {
    **dict.fromkeys("iɪɨᵻ", "i"),
    **dict.fromkeys("uʊʉɯyʏ", "u"),
    **dict.fromkeys("əɚɐɘ", "@"),
    **dict.fromkeys("aɑæäɶ", "a"),
    **dict.fromkeys("e", "e"),
    **dict.fromkeys("ɛɜɝʌɞ", "E"),
    **dict.fromkeys("oøɵɤ", "o"),
    **dict.fromkeys("ɔɒœ", "O"),
}
_CONSONANTS: dict[str, str] = {
    **dict.fromkeys("pbmɓʘ", "p"),
    **dict.fromkeys("tdnlɾɗɫɬɮɭɖʈɳɽɺǀǃǁ", "t"),
    **dict.fromkeys("ʃʒɕʑʂʐǂ", "S"),
    **dict.fromkeys("θð", "T"),
    **dict.fromkeys("fvɱʋɸⱱ", "f"),
    **dict.fromkeys("kgɡŋhɦxɣqɢɠʛχʁʀħʕʔɴɰʜʢ", "k"),
    **dict.fromkeys("j", "i"),
    **dict.fromkeys("wʍɥ", "u"),
    **dict.fromkeys("rɹɻ", "r"),
    **dict.fromkeys("sz", "s"),
    **dict.fromkeys("ɲʎʝcɟçʄ", "J"),
    "β": "B",
}
_FRICATIVES = frozenset("SsfT")  # the second half of an affricate decides its shape
_IPA_OF_ARPABET = _table(
    "AA=ɑ AE=æ AH=ʌ AO=ɔ AW=aʊ AX=ə AXR=ɚ AY=aɪ B=b CH=tʃ D=d DH=ð DX=ɾ EH=ɛ ER=ɝ EY=eɪ F=f G=ɡ HH=h HV=ɦ IH=ɪ "
    "IX=ɨ IY=i JH=dʒ K=k L=l EL=əl EM=əm EN=ən M=m N=n NG=ŋ NX=n OW=oʊ OY=ɔɪ P=p Q=ʔ R=ɹ S=s SH=ʃ T=t TH=θ UH=ʊ "
    "UW=u UX=ʉ V=v W=w WH=ʍ Y=j Z=z ZH=ʒ"
)
_SILENT_ARPABET = frozenset({"", "SIL", "PAU", "SP", "SPN", "NSN", "BRTH", "H#", "#", "_"})


def plain_ipa(ipa: str) -> str:
    """``ipa`` without stress, length, tone and other marks: its bare segments."""
    spread = unicodedata.normalize("NFD", ipa)
    return "".join(c for c in spread if c in _VOWELS or c in _CONSONANTS)


def _segment(symbol: str) -> str:
    return _VOWELS.get(symbol) or _CONSONANTS[symbol]


def viseme_of_ipa(ipa: str) -> str:
    """The mouth shape of a phoneme in IPA, with or without marks; ``sil`` for none.

    A diphthong has the shape of its nucleus, an affricate that of its release.
    """
    segments = plain_ipa(ipa)
    if not segments:
        return NEUTRAL if any(c.isalpha() and unicodedata.category(c) != "Lm" for c in ipa) else SILENCE
    nucleus = next((c for c in segments if c in _VOWELS), None)
    if nucleus is not None:
        return _VOWELS[nucleus]
    last = _CONSONANTS[segments[-1]]
    return last if last in _FRICATIVES else _CONSONANTS[segments[0]]


def glide_of_ipa(ipa: str) -> str | None:
    """The mouth shape in which a phoneme with a vowel ends (``aɪ``: ``i``), if it is another than its nucleus."""
    segments = plain_ipa(ipa)
    if len(segments) < 2 or not any(c in _VOWELS for c in segments):
        return None
    last = _segment(segments[-1])
    return last if last != viseme_of_ipa(ipa) else None


def ipa_of_arpabet(phone: str) -> str:
    """A phone of ARPABET, with or without its stress digit, in IPA; empty for silence and for what is not known."""
    return _IPA_OF_ARPABET.get(phone.rstrip("012").upper(), "")


def viseme_of_arpabet(phone: str) -> str:
    """The mouth shape of a phone of ARPABET (``AH0``, ``hh``); ``sil`` for the names of silence."""
    bare = phone.strip("+<>").rstrip("012").upper()
    if bare in _SILENT_ARPABET:
        return SILENCE
    if bare in {"AH", "ER"} and phone.endswith("0"):
        return "@"
    ipa = _IPA_OF_ARPABET.get(bare)
    return viseme_of_ipa(ipa) if ipa else NEUTRAL


# ---------------------------------------------------------------- to other alphabets

_OCULUS = _table(
    "sil=sil p=PP B=PP t=DD S=CH T=TH f=FF k=kk i=I i:=I J=I r=RR s=SS u=U x=U @=E a=aa e=E E=E E:=E o=O O=O 0=O"
)
_AZURE = _table(
    "sil=0 p=21 B=21 t=19 S=16 T=17 f=18 k=20 i=6 i:=6 J=6 r=13 s=15 u=7 x=7 @=1 a=2 e=4 E=4 E:=4 o=8 0=8 O=3"
)
_AZURE_OF_IPA = _table("æ=1 ə=1 ʌ=1 ɐ=1 ɑ=2 a=2 ɝ=5 ɜ=5 ɚ=5 ʊ=4 aʊ=9 ɔɪ=10 aɪ=11 h=12 ɦ=12 l=14 ɫ=14 θ=19 ð=17")
_ARKIT: dict[str, dict[str, float]] = {
    "sil": {},
    "p": {"mouthPress*": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.2, "mouthPucker": 0.2},
    "B": {"mouthPress*": 0.25, "mouthRollLower": 0.2, "mouthPucker": 0.2, "jawOpen": 0.05},
    "t": {"jawOpen": 0.12, "mouthLowerDown*": 0.2, "tongueOut": 0.05},
    "S": {"mouthFunnel": 0.5, "mouthPucker": 0.3, "jawOpen": 0.08},
    "T": {"jawOpen": 0.12, "tongueOut": 0.35},
    "f": {"mouthRollLower": 0.5, "mouthUpperUp*": 0.25, "jawOpen": 0.05},
    "k": {"jawOpen": 0.18, "mouthStretch*": 0.1},
    "i": {"mouthSmile*": 0.35, "mouthStretch*": 0.2, "jawOpen": 0.12},
    "r": {"mouthFunnel": 0.35, "mouthPucker": 0.2, "jawOpen": 0.12},
    "s": {"mouthStretch*": 0.25, "jawOpen": 0.04},
    "u": {"mouthPucker": 0.8, "jawOpen": 0.1},
    "@": {"jawOpen": 0.2},
    "a": {"jawOpen": 0.6, "mouthLowerDown*": 0.2},
    "e": {"jawOpen": 0.25, "mouthSmile*": 0.25},
    "E": {"jawOpen": 0.3, "mouthStretch*": 0.15},
    "o": {"mouthFunnel": 0.5, "mouthPucker": 0.35, "jawOpen": 0.3},
    "O": {"mouthFunnel": 0.4, "jawOpen": 0.45},
}
_ARKIT_ALIAS = {"J": "i", "i:": "i", "E:": "E", "x": "u", "0": "o"}


def _both_sides(weights: Mapping[str, float]) -> Mapping[str, float]:
    sides: dict[str, float] = {}
    for name, weight in weights.items():
        names = [name[:-1] + side for side in ("Left", "Right")] if name.endswith("*") else [name]
        sides.update(dict.fromkeys(names, weight))
    return MappingProxyType(sides)


_ARKIT_WEIGHTS = {code: _both_sides(_ARKIT[_ARKIT_ALIAS.get(code, code)]) for code in CODES}


def to_oculus(code: str, phoneme: str | None = None) -> str:
    """The Oculus (OVR, Ready Player Me) viseme, one of 15: ``sil PP FF TH DD kk CH SS nn RR aa E I O U``.

    ``phoneme``, in IPA, tells ``n`` (nn) from ``t`` and ``d`` (DD).
    """
    if code == "t" and phoneme is not None and plain_ipa(phoneme)[:1] in {"n", "ɳ"}:
        return "nn"
    return _OCULUS.get(code, _OCULUS[NEUTRAL])


def to_azure(code: str, phoneme: str | None = None) -> int:
    """The Azure (SAPI) viseme number, 0 to 21. It tells more apart than Polly does: ``phoneme``, in IPA, helps."""
    if phoneme is not None:
        bare = plain_ipa(phoneme)
        for key in (bare, bare[:1]):
            # a glide in the middle of a diphthong has a shape of its own
            if key in _AZURE_OF_IPA and viseme_of_ipa(phoneme) == code:
                return int(_AZURE_OF_IPA[key])
    return int(_AZURE.get(code, _AZURE[NEUTRAL]))


def to_arkit(code: str) -> Mapping[str, float]:
    """Weights, from 0 to 1, of ARKit's blend shapes by name; shapes that are not named are 0.

    A starting point to be tuned to the face. ``mouthClose`` is not used, since rigs disagree on what it means.
    """
    return _ARKIT_WEIGHTS.get(code, _ARKIT_WEIGHTS[NEUTRAL])
