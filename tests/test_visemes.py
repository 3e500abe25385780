"""Viseme alphabets: every mapping is total, and says what the published tables say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import visemes

OCULUS = {"sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U"}
POLLY_EN_US = {
    "p": ("p b m", "P B M"),
    "t": ("t d n l", "T D N L"),
    "S": ("ʃ ʒ tʃ dʒ", "SH ZH CH JH"),
    "T": ("θ ð", "TH DH"),
    "f": ("f v", "F V"),
    "k": ("k ɡ ŋ h", "K G NG HH"),
    "i": ("i ɪ j", "IY IH Y"),
    "r": ("ɹ", "R"),
    "s": ("s z", "S Z"),
    "u": ("u ʊ w", "UW UH W"),
    "@": ("ə ɚ", "AX AXR AH0"),
    "a": ("æ ɑ aɪ aʊ", "AE AA AY AW"),
    "e": ("eɪ", "EY"),
    "E": ("ɛ ɝ ʌ", "EH ER AH"),
    "o": ("oʊ", "OW"),
    "O": ("ɔ ɔɪ", "AO OY"),
}
anything = st.one_of(st.text(max_size=6), st.sampled_from(sorted(visemes.CODES)))


@pytest.mark.parametrize("code", sorted(POLLY_EN_US))
def test_phonemes_follow_pollys_table(code: str) -> None:
    ipa, arpabet = POLLY_EN_US[code]
    assert {viseme for phoneme in ipa.split() for viseme in [visemes.viseme_of_ipa(phoneme)]} == {code}
    assert {visemes.viseme_of_arpabet(phone) for phone in arpabet.split()} == {code}
    assert {visemes.viseme_of_arpabet(phone.lower()) for phone in arpabet.split()} == {code}


@pytest.mark.parametrize(
    ("ipa", "code"),
    [
        *[("h", "k"), ("ə", "@"), ("l", "t"), ("ˈoʊ", "o"), ("w", "u"), ("ˈɜː", "E"), ("d", "t"), ("", "sil")],
        *[("ð", "T"), ("ɪ", "i"), ("ɐ", "@"), ("ˈɛ", "E"), ("z", "s")],  # "Hello world, this is a test."
        *[("ɔːɹ", "O"), ("əl", "@"), ("ˈiə", "i"), ("ɾ", "t"), ("ᵻ", "i"), ("iː", "i"), ("n̩", "t")],
        *[
            ("ʁ", "k"),
            ("y", "u"),
            ("ø", "o"),
            ("œ̃", "O"),
            ("ɑ̃", "a"),
            ("ɲ", "J"),
            ("β", "B"),
            ("ts", "s"),
            ("pf", "f"),
        ],
        *[("tʲ", "t"), ("ɕ", "S"), ("ç", "J"), ("ʔ", "k"), ("_:", "sil"), ("ˈ", "sil"), ("ж", "@")],
    ],
)
def test_viseme_of_ipa(ipa: str, code: str) -> None:
    assert visemes.viseme_of_ipa(ipa) == code


@pytest.mark.parametrize(
    ("ipa", "glide"),
    [("aɪ", "i"), ("ˈaʊ", "u"), ("oʊ", "u"), ("ɔɪ", "i"), ("ɔːɹ", "r"), ("iː", None), ("tʃ", None), ("", None)],
)
def test_glide_of_ipa(ipa: str, glide: str | None) -> None:
    assert visemes.glide_of_ipa(ipa) == glide


@pytest.mark.parametrize("phone", ["SIL", "sil", "pau", "<sil>", "+SPN+", ""])
def test_silence_in_arpabet(phone: str) -> None:
    assert visemes.viseme_of_arpabet(phone) == "sil"


def test_polly_has_23_symbols() -> None:
    assert len(visemes.CODES) == 23


@given(anything, st.none() | st.text(max_size=6))
def test_every_mapping_is_total(code: str, phoneme: str | None) -> None:
    assert visemes.to_oculus(code, phoneme) in OCULUS
    assert 0 <= visemes.to_azure(code, phoneme) <= 21
    weights = visemes.to_arkit(code)
    assert all(0 < weight <= 1 for weight in weights.values())
    assert visemes.viseme_of_ipa(code) in visemes.CODES
    assert visemes.viseme_of_arpabet(code) in visemes.CODES
    assert visemes.glide_of_ipa(code) in {None, *visemes.CODES}


@given(st.text(max_size=4).filter(lambda code: code not in visemes.CODES))
def test_unknown_codes_are_neutral(code: str) -> None:
    assert visemes.to_oculus(code) == visemes.to_oculus("@")
    assert visemes.to_azure(code) == visemes.to_azure("@")
    assert visemes.to_arkit(code) == visemes.to_arkit("@")


def test_the_phoneme_tells_more() -> None:
    assert visemes.to_oculus("t", "n") == "nn"
    assert visemes.to_oculus("t", "d") == "DD"
    assert visemes.to_azure("t", "l") == 14
    assert visemes.to_azure("a", "ˈaʊ") == 9
    assert visemes.to_azure("u", "ˈaʊ") == 7  # its glide
    assert visemes.to_azure("k", "h") == 12
    assert visemes.to_azure("E", "ˈɜː") == 5


def test_every_azure_shape_can_be_reached() -> None:
    phonemes = [p for ipa, _ in POLLY_EN_US.values() for p in ipa.split()]
    reached = {visemes.to_azure(visemes.viseme_of_ipa(p), p) for p in phonemes} | {visemes.to_azure("sil")}
    assert reached == set(range(22))


def test_closed_lips_and_open_jaw() -> None:
    assert visemes.to_arkit("p").get("jawOpen", 0) == 0
    assert visemes.to_arkit("a")["jawOpen"] > visemes.to_arkit("@")["jawOpen"] > visemes.to_arkit("s")["jawOpen"]
    assert visemes.to_arkit("sil") == {}
    assert visemes.to_arkit("i")["mouthSmileLeft"] == visemes.to_arkit("i")["mouthSmileRight"]
