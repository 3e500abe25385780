"""Amazon Polly as a request service: SynthesizeSpeech and DescribeVoices, spoken by any synthesizer.

Sources: Amazon Polly API reference (SynthesizeSpeech, DescribeVoices) and developer guide ("Quotas",
"Speech marks", "Supported SSML tags"). Compressed formats need the package ``soundfile``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, ClassVar, NoReturn

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.audio import ALAW_8K, MULAW_8K, AudioFormat
from voiceloop.errors import MissingExtra, VoiceloopError
from voiceloop.testing.aws.exchange import Refusal, Request, Response, RestService
from voiceloop.testing.aws.polly_speech import Mouth, encoded
from voiceloop.testing.aws.polly_ssml import Document, InvalidSsml, plain, ssml
from voiceloop.testing.aws.polly_voices import ENGINES, LANGUAGES, PAGE, VOICES, Quota, Voice, chosen
from voiceloop.testing.aws.stage import Stage

TEXT_LIMIT, BILLED_LIMIT = 6000, 3000
_RATES = ("8000", "16000", "22050", "24000", "44100", "48000")
_FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mp3": ("audio/mpeg", _RATES),
    "ogg_vorbis": ("audio/ogg", _RATES),
    "ogg_opus": ("audio/ogg", ("48000",)),
    "pcm": ("audio/pcm", ("8000", "16000")),
    "mulaw": ("audio/mulaw", ("8000",)),
    "alaw": ("audio/alaw", ("8000",)),
    "json": ("application/x-json-stream", ()),
}
_G711 = {"mulaw": MULAW_8K, "alaw": ALAW_8K}
_KINDS = ("sentence", "ssml", "viseme", "word")


@define(eq=False)
class Throttle:
    """Token buckets and counts of running requests, by region and engine."""

    quotas: Mapping[str, Quota]
    _tokens: dict[tuple[str, str], tuple[float, float]] = field(factory=dict)
    _running: dict[tuple[str, str], int] = field(factory=dict)

    @contextmanager
    def request(self, region: str, engine: str) -> Iterator[None]:
        """One request. Raises Refusal (ThrottlingException, with Polly's status 400) when there are too many."""
        quota, key, now = self.quotas[engine], (region, engine), clock.now()
        tokens, since = self._tokens.get(key, (float(quota.burst), now))
        tokens = min(quota.burst, tokens + (now - since) * quota.per_second)
        if tokens < 1 or self._running.get(key, 0) >= quota.concurrent:
            self._tokens[key] = tokens, now
            raise Refusal(400, "ThrottlingException", "Rate exceeded")
        self._tokens[key] = tokens - 1, now
        self._running[key] = self._running.get(key, 0) + 1
        try:
            yield
        finally:
            self._running[key] -= 1


@frozen
class Order:
    """A checked request for speech."""

    voice: Voice
    engine: str
    output: str
    rate: int
    data: bytes = field(repr=False)
    document: Document = field(repr=False)
    kinds: frozenset[str] = frozenset()

    @property
    def format(self) -> AudioFormat:
        """The audio that is made, before any compression."""
        return _G711.get(self.output) or AudioFormat(self.rate)

    @property
    def content_type(self) -> str:
        """The media type of the answer."""
        return _FORMATS[self.output][0]


class Polly(RestService):
    """SynthesizeSpeech and DescribeVoices."""

    service: ClassVar[str] = "polly"

    def __init__(self, stage: Stage) -> None:
        self._mouth = Mouth(stage.backing.synthesizer, stage.resources)
        self._delay = stage.backing.polly_delay
        self._lexicons = stage.settings.polly_lexicons
        self._throttle = Throttle(stage.settings.polly_quotas)
        self._account = stage.account

    def operation(self, method: str, path: str) -> str | None:
        return {("POST", "/v1/speech"): "SynthesizeSpeech", ("GET", "/v1/voices"): "DescribeVoices"}.get(
            (method, path)
        )

    def actions(self, request: Request) -> tuple[tuple[str, str], ...]:
        if request.path == "/v1/voices":
            return (("polly:DescribeVoices", "*"),)
        names = _json(request.body).get("LexiconNames") or ()
        lexicons = (f"arn:aws:polly:{request.caller.region}:{self._account}:lexicon/{name}" for name in names)
        return tuple(("polly:SynthesizeSpeech", resource) for resource in ("*", *lexicons))

    async def answer(self, request: Request) -> Response:
        if request.path == "/v1/voices":
            return _voices(request.query)
        body = _json(request.body)
        engine = str(body.get("Engine") or "standard")
        _among("engine", engine, ENGINES)
        order = checked(body, engine, self._lexicons)
        began, stream = clock.now(), Ahead(self._chunks(request.caller.region, order))
        try:
            await stream.look()
            await anyio.sleep_until(began + self._delay)
        except BaseException:
            await stream.aclose()
            raise
        headers = {
            "content-type": order.content_type,
            "x-amzn-requestcharacters": str(order.document.billed),
        }
        return Response(200, headers, stream)

    async def _chunks(self, region: str, order: Order) -> AsyncGenerator[bytes]:
        """The bytes of the answer; the request counts as running until they are made, or left."""
        with self._throttle.request(region, order.engine):
            async with aclosing(self._made(order)) as made:
                async for chunk in made:
                    yield chunk

    def _made(self, order: Order) -> AsyncGenerator[bytes]:
        if order.output == "json":
            return self._mouth.marks(order.document, order.data, order.kinds)
        pcm = self._mouth.audio(order.document.pieces, order.format)
        return pcm if order.output in ("pcm", *_G711) else encoded(pcm, order.rate, order.output)


class Ahead(AsyncIterator[bytes]):
    """A stream whose first chunk is made before the answer begins, so that a failure is still told as one."""

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        self._chunks = chunks
        self._first: bytes | None = None

    async def look(self) -> None:
        """Make the first chunk. Raises Refusal."""
        try:
            self._first = await anext(self._chunks, None)
        except MissingExtra as error:
            raise Refusal(400, "ValidationException", str(error)) from error
        except VoiceloopError as error:
            raise Refusal(
                500, "ServiceFailureException", "An unknown condition has caused a service failure."
            ) from error

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Leave the rest unmade."""
        await self._chunks.aclose()


def checked(body: Mapping[str, Any], engine: str, lexicons: Collection[str]) -> Order:
    """The request as an order. Raises Refusal with the service's codes."""
    output, text, name = (_given(body, key) for key in ("OutputFormat", "Text", "VoiceId"))
    _among("outputFormat", output, _FORMATS)
    kind = _among("textType", body.get("TextType") or "text", ("ssml", "text"))
    voice = VOICES[_among("voiceId", name, VOICES)]
    if engine not in voice.engines:
        invalid(f"This voice does not support the selected engine: {engine}")
    if language := body.get("LanguageCode"):
        _among("languageCode", language, LANGUAGES)
        if language not in (voice.language, *voice.also):
            refuse("LanguageNotSupportedException", "This voice does not support the selected language.")
    document = documented(text, kind, engine, voice.id)
    _check_lexicons(body.get("LexiconNames") or (), lexicons)
    kinds = _marks(body.get("SpeechMarkTypes") or (), output, kind, engine)
    rate = _rate(body.get("SampleRate"), output, engine)
    return Order(voice, engine, output, rate, text.encode(), document, kinds)


def documented(text: str, kind: str, engine: str, voice: str) -> Document:
    """``text`` as a document within the limits. Raises Refusal."""
    if len(text) > TEXT_LIMIT:
        refuse("TextLengthExceededException", "Maximum text length has been exceeded")
    try:
        document = ssml(text, engine, voice) if kind == "ssml" else plain(text)
    except InvalidSsml as error:
        refuse("InvalidSsmlException", str(error))
    if document.billed > BILLED_LIMIT:
        refuse("TextLengthExceededException", "Maximum text length has been exceeded")
    return document


def refuse(code: str, message: str, status: int = 400) -> NoReturn:
    """Raise a Refusal."""
    raise Refusal(status, code, message)


def invalid(message: str) -> NoReturn:
    """Raise a ValidationException."""
    refuse("ValidationException", message)


def _json(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        refuse("SerializationException", "The request body is not a JSON object.")
    return body


def _given(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        name = key[0].lower() + key[1:]
        invalid(
            f"1 validation error detected: Value null at '{name}' failed to satisfy constraint: "
            "Member must not be null"
        )
    return value


def _among(name: str, value: Any, allowed: Collection[str]) -> str:
    if value not in allowed:
        invalid(
            f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )
    return str(value)


def _check_lexicons(names: Collection[str], known: Collection[str]) -> None:
    if len(names) > 5:
        invalid(
            "1 validation error detected: Value at 'lexiconNames' failed to satisfy constraint: "
            "Member must have length less than or equal to 5"
        )
    for name in names:
        if not (name.isascii() and name.isalnum() and len(name) <= 20):
            invalid(
                f"1 validation error detected: Value '[{name}]' at 'lexiconNames' failed to satisfy constraint: "
                "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9A-Za-z]{1,20}]"
            )
        if name not in known:
            refuse("LexiconNotFoundException", "Lexicon not found", 404)


def _marks(kinds: Collection[str], output: str, kind: str, engine: str) -> frozenset[str]:
    for each in kinds:
        _among("speechMarkTypes", each, _KINDS)
    if output != "json" and kinds:
        refuse("MarksNotSupportedForFormatException", "Speech marks are not supported for the OutputFormat selected.")
    if output == "json" and not kinds:
        invalid("Speech mark types must be specified for the OutputFormat json.")
    if output == "json" and engine == "generative":
        # The code of this refusal is not documented; the guide only says that generative voices have no marks.
        invalid("Speech marks are not supported for the selected engine: generative")
    if "ssml" in kinds and kind != "ssml":
        refuse(
            "SsmlMarksNotSupportedForTextTypeException",
            "SSML speech marks are not supported for plain text-type input.",
        )
    return frozenset(kinds)


def _rate(given: Any, output: str, engine: str) -> int:
    rates = _FORMATS[output][1]
    if not rates:
        return 16_000
    default = {1: rates[0], 2: "16000"}.get(len(rates), "22050" if engine == "standard" else "24000")
    rate = default if given is None else given
    if rate not in rates:
        refuse("InvalidSampleRateException", "The specified sample rate is not valid.")
    return int(rate)


def _voices(query: Mapping[str, str]) -> Response:
    engine, language = query.get("Engine"), query.get("LanguageCode")
    if engine is not None:
        _among("engine", engine, ENGINES)
    if language is not None:
        _among("languageCode", language, LANGUAGES)
    found = chosen(engine, language, query.get("IncludeAdditionalLanguageCodes", "").lower() == "true")
    token = query.get("NextToken")
    known = {f"after-{found[at - 1].id}": at for at in range(PAGE, len(found), PAGE)}
    if token is not None and token not in known:
        refuse("InvalidNextTokenException", "The NextToken is invalid.")
    start = known[token] if token is not None else 0
    told: dict[str, Any] = {"Voices": [voice.described() for voice in found[start : start + PAGE]]}
    if start + PAGE < len(found):
        told["NextToken"] = f"after-{found[start + PAGE - 1].id}"
    return Response(200, {"content-type": "application/json"}, json.dumps(told).encode())


__all__ = ("Ahead", "Order", "Polly", "Throttle", "checked", "documented", "invalid", "refuse")
