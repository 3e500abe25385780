"""The voices of Amazon Polly, and what DescribeVoices says of them.

Source: Amazon Polly developer guide, "Available voices", and the pages of each engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

from attrs import frozen

Engine: TypeAlias = Literal["standard", "neural", "long-form", "generative"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
PAGE = 60  # voices in one answer of DescribeVoices

_LETTERS: dict[str, Engine] = {"S": "standard", "N": "neural", "L": "long-form", "G": "generative"}

LANGUAGES: Mapping[str, str] = {
    "arb": "Arabic", "ar-AE": "Gulf Arabic", "ca-ES": "Catalan", "yue-CN": "Chinese Cantonese",
    "cmn-CN": "Chinese Mandarin", "cs-CZ": "Czech", "cy-GB": "Welsh", "da-DK": "Danish", "de-AT": "German (Austrian)",
    "de-CH": "German (Swiss Standard)", "de-DE": "German", "en-AU": "Australian English", "en-GB": "British English",
    "en-GB-WLS": "Welsh English", "en-IE": "Irish English", "en-IN": "Indian English", "en-NZ": "New Zealand English",
    "en-SG": "Singaporean English", "en-US": "US English", "en-ZA": "South African English",
    "es-ES": "Castilian Spanish", "es-MX": "Mexican Spanish", "es-US": "US Spanish", "fi-FI": "Finnish",
    "fr-BE": "Belgian French", "fr-CA": "Canadian French", "fr-FR": "French", "hi-IN": "Hindi", "is-IS": "Icelandic",
    "it-IT": "Italian", "ja-JP": "Japanese", "ko-KR": "Korean", "nb-NO": "Norwegian", "nl-BE": "Belgian Dutch",
    "nl-NL": "Dutch", "pl-PL": "Polish", "pt-BR": "Brazilian Portuguese", "pt-PT": "Portuguese", "ro-RO": "Romanian",
    "ru-RU": "Russian", "sv-SE": "Swedish", "tr-TR": "Turkish",
}  # fmt: skip

_TABLE = """
en-US: Danielle/F/NLG Gregory/M/NL Ivy/F/SN Joanna/F/SNG Kendra/F/SN Kimberly/F/SN Salli/F/SNG Joey/M/SN Justin/M/SN
en-US: Kevin/M/SN Matthew/M/SNG Ruth/F/NLG Stephen/M/NG Tiffany/F/G Patrick/M/L
en-GB: Amy/F/SNG Emma/F/SN Brian/M/SNG Arthur/M/N
en-AU: Nicole/F/S Olivia/F/NG Russell/M/S
en-IN: Aditi/F/S/hi-IN Raveena/F/S Kajal/F/NG/hi-IN
en-IE: Niamh/F/NG
en-NZ: Aria/F/NG
en-SG: Jasmine/F/NG
en-ZA: Ayanda/F/NG
en-GB-WLS: Geraint/M/S
es-ES: Conchita/F/S Lucia/F/SNG Enrique/M/S Sergio/M/NG Alba/F/L Raul/M/L
es-MX: Mia/F/SNG Andres/M/NG
es-US: Lupe/F/SNG Penelope/F/S Miguel/M/S Pedro/M/NG
fr-FR: Celine/F/S Lea/F/SNG Mathieu/M/S Remi/M/NG Ambre/F/G Florian/M/G
fr-CA: Chantal/F/S Gabrielle/F/NG Liam/M/NG
fr-BE: Isabelle/F/NG
de-DE: Marlene/F/S Vicki/F/SNG Hans/M/S Daniel/M/NG Lennart/M/G
de-AT: Hannah/F/NG
de-CH: Sabrina/F/NG
it-IT: Carla/F/S Bianca/F/SNG Giorgio/M/S Adriano/M/N Beatrice/F/G Lorenzo/M/G
pt-BR: Camila/F/SNG Vitoria/F/SN Ricardo/M/S Thiago/M/N
pt-PT: Ines/F/SN Cristiano/M/S
ja-JP: Mizuki/F/S Takumi/M/SN Kazuha/F/N Tomoko/F/N
ko-KR: Seoyeon/F/SNG Jihye/F/N
cmn-CN: Zhiyu/F/SN
yue-CN: Hiujin/F/N
nl-NL: Laura/F/NG Lotte/F/S Ruben/M/S
nl-BE: Lisa/F/NG
da-DK: Naja/F/S Mads/M/S Sofie/F/N
nb-NO: Liv/F/S Ida/F/N
sv-SE: Astrid/F/S Elin/F/N
fi-FI: Suvi/F/N
is-IS: Dora/F/S Karl/M/S
pl-PL: Ewa/F/S Maja/F/S Jacek/M/S Jan/M/S Ola/F/NG
cs-CZ: Jitka/F/N
ro-RO: Carmen/F/S
ru-RU: Tatyana/F/S Maxim/M/S
tr-TR: Filiz/F/S Burcu/F/N
cy-GB: Gwyneth/F/S
ca-ES: Arlet/F/N
arb: Zeina/F/S
ar-AE: Hala/F/N Zayd/M/N
"""


@frozen
class Voice:
    """One voice. ``also``: the languages that it speaks besides ``language``."""

    id: str
    language: str
    gender: Literal["Female", "Male"]
    engines: tuple[Engine, ...]
    also: tuple[str, ...] = ()

    def described(self) -> dict[str, Any]:
        """The voice as DescribeVoices tells it."""
        told: dict[str, Any] = {
            "Gender": self.gender,
            "Id": self.id,
            "LanguageCode": self.language,
            "LanguageName": LANGUAGES[self.language],
            "Name": self.id,
            "SupportedEngines": list(self.engines),
        }
        return {**told, "AdditionalLanguageCodes": list(self.also)} if self.also else told


def _voices() -> Iterator[Voice]:
    for line in _TABLE.strip().splitlines():
        language, _, voices = line.partition(": ")
        for entry in voices.split():
            name, gender, engines, *also = entry.split("/")
            yield Voice(
                name,
                language,
                "Female" if gender == "F" else "Male",
                tuple(_LETTERS[letter] for letter in engines),
                tuple(also),
            )


VOICES: Mapping[str, Voice] = {voice.id: voice for voice in sorted(_voices(), key=lambda voice: voice.id)}


def chosen(engine: str | None, language: str | None, additional: bool) -> list[Voice]:
    """The voices with ``engine`` and ``language``; ``additional``: also those that speak it besides their own."""
    return [
        voice
        for voice in VOICES.values()
        if engine in (None, *voice.engines)
        and language in (None, voice.language, *(voice.also if additional else ()))
    ]


@frozen
class Quota:
    """What an engine takes: requests each second, how many at once after a rest, and how many at the same time."""

    per_second: float
    burst: int
    concurrent: int


QUOTAS: Mapping[str, Quota] = {
    # Amazon Polly developer guide, "Quotas".
    "standard": Quota(80, 100, 80),
    "neural": Quota(8, 10, 18),
    "long-form": Quota(8, 10, 26),
    "generative": Quota(8, 8, 26),
}
