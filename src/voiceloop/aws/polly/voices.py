"""Which voices there are, and with which engines: from the service, or from a table where it may not be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
from attrs import define, field

from voiceloop import clock
from voiceloop.aws.account import Access
from voiceloop.aws.faults import translated
from voiceloop.aws.shelf import shelved
from voiceloop.errors import UnknownName, VoiceloopError

ENGINES = ("standard", "neural", "long-form", "generative")
_LETTERS = dict(zip("SNLG", ENGINES, strict=True))
_TRIES = 3
_DEADLINE = 10.0

# Amazon Polly developer guide, "Available voices". After the language: a voice, and the letters of its engines.
_TABLE = """
en-US Danielle NLG, Gregory NL, Ivy SN, Joanna SNG, Kendra SN, Kimberly SN, Salli SNG, Joey SN, Justin SN, Kevin SN,
  Matthew SNG, Ruth NLG, Stephen NG, Tiffany G, Patrick L
en-GB Amy SNG, Emma SN, Brian SNG, Arthur N
en-AU Nicole S, Olivia NG, Russell S
en-IN Aditi S, Raveena S, Kajal NG
en-IE Niamh NG
en-NZ Aria NG
en-SG Jasmine NG
en-ZA Ayanda NG
en-GB-WLS Geraint S
es-ES Conchita S, Lucia SNG, Enrique S, Sergio NG, Alba L, Raul L
es-MX Mia SNG, Andres NG
es-US Lupe SNG, Penelope S, Miguel S, Pedro NG
fr-FR Celine S, Lea SNG, Mathieu S, Remi NG, Ambre G, Florian G
fr-CA Chantal S, Gabrielle NG, Liam NG
fr-BE Isabelle NG
de-DE Marlene S, Vicki SNG, Hans S, Daniel NG, Lennart G
de-AT Hannah NG
de-CH Sabrina NG
it-IT Carla S, Bianca SNG, Giorgio S, Adriano N, Beatrice G, Lorenzo G
pt-BR Camila SNG, Vitoria SN, Ricardo S, Thiago N
pt-PT Ines SN, Cristiano S
ja-JP Mizuki S, Takumi SN, Kazuha N, Tomoko N
ko-KR Seoyeon SNG, Jihye N
cmn-CN Zhiyu SN
yue-CN Hiujin N
nl-NL Laura NG, Lotte S, Ruben S
nl-BE Lisa NG
da-DK Naja S, Mads S, Sofie N
nb-NO Liv S, Ida N
sv-SE Astrid S, Elin N
fi-FI Suvi N
is-IS Dora S, Karl S
pl-PL Ewa S, Maja S, Jacek S, Jan S, Ola NG
cs-CZ Jitka N
ro-RO Carmen S
ru-RU Tatyana S, Maxim S
tr-TR Filiz S, Burcu N
cy-GB Gwyneth S
ca-ES Arlet N
arb Zeina S
ar-AE Hala N, Zayd N
"""


def _known() -> Mapping[str, frozenset[str]]:
    voices: dict[str, frozenset[str]] = {}
    for line in _TABLE.replace("\n  ", " ").strip().splitlines():
        for entry in line.partition(" ")[2].split(", "):
            name, letters = entry.strip(" ,").split()
            voices[name] = frozenset(_LETTERS[letter] for letter in letters)
    return voices


@define(eq=False)
class Catalogue:
    """The voices of a region, and the engines of each: a table that the service's own list takes the place of."""

    voices: Mapping[str, frozenset[str]] = field(factory=_known)
    listed: bool = False
    """Whether ``voices`` is the service's own list."""
    _tries: int = 0
    _asking: anyio.Lock = field(factory=anyio.Lock)

    async def load(self, access: Access) -> None:
        """Ask the service (DescribeVoices), if that may help. Raises nothing: without an answer the table stays."""
        async with self._asking:
            if self.listed or self._tries >= _TRIES:
                return
            self._tries += 1
            try:
                self.voices = await _describe(access)
                self.listed = True
            except VoiceloopError as error:
                # the list is a help, no need: the service itself refuses a voice that it does not have
                if not error.retryable:
                    self._tries = _TRIES

    async def check(self, voice: str, engine: str, access: Access) -> None:
        """Raise UnknownName if it is certain that there is no such voice, or not with ``engine``."""
        if engine in self.voices.get(voice, ()):
            return
        await self.load(access)
        if not self.listed or engine in self.voices.get(voice, ()):
            return
        able = [name for name, engines in self.voices.items() if engine in engines]
        others = ", ".join(sorted(self.voices.get(voice, ())))
        hint = f"{voice} has the engines: {others}." if others else f"The region is {access.region}."
        raise UnknownName(f"{engine} voice", voice, able, hint=hint)


async def _describe(access: Access) -> Mapping[str, frozenset[str]]:
    voices: dict[str, frozenset[str]] = {}
    client = await access.client("polly")
    page: dict[str, str] = {}
    with translated("polly", "DescribeVoices"), clock.outside_work(), anyio.fail_after(_DEADLINE):
        while True:
            answer = await client.describe_voices(**page)
            for voice in answer["Voices"]:
                voices[voice["Id"]] = frozenset(voice.get("SupportedEngines", ("standard",)))
            if not answer.get("NextToken"):
                return voices
            page = {"NextToken": answer["NextToken"]}


async def catalogue(access: Access) -> Catalogue:
    """The catalogue that all sessions of a pool share."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Catalogue]:
        yield Catalogue()

    return await shelved(access.resources, ("polly voices", access.account, access.region), opened)
