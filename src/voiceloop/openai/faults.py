"""What a server's refusal means, and what to do about it. Pure.

A server's own words can repeat what was said to it; so they are shown only where they share nothing with the
conversation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from voiceloop.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnknownName

PROVIDER, ASKING = "chat completions", "asking for a reply"

_LONGEST = 200  # characters of a server's words that are shown
_RUN = 3  # words in a row that are a quotation
_NO = r"(unsupported|not support|n't support|not permitted|not allowed|forbidden|unrecogni[sz]ed|unknown|unexpected)"
# The servers' words, and what is put in another way from then on. Which one it is nobody can tell beforehand.
_LEARN = (
    (re.compile(r"stream_options|include_usage"), "stream_options"),
    (re.compile(rf"max_(completion_)?tokens\b.*{_NO}|{_NO}.*\bmax_(completion_)?tokens"), "max_tokens"),
    (re.compile(rf"\btemperature\b.*{_NO}|{_NO}.*\btemperature\b"), "temperature"),
    (re.compile(rf"system role.*{_NO}|{_NO}.*system (role|message|prompt)"), "system"),
    (re.compile(r"roles? must alternate"), "alternate"),
    (re.compile(rf"image.*{_NO}|{_NO}.*image|mmproj|not a multimodal|only support\w* text|image_url"), "images"),
)
_LONG = re.compile(r"context_length|context[_ ](size|length|window)|maximum context|prompt is too long")
_TOOLS = re.compile(r"not support tools?|enable-auto-tool-choice|--jinja|tools?( calling)? (is|are) not supported")
_NO_MODEL = re.compile(r"model_not_found|models? .*(not found|does not exist|not exist)|no models? (is )?loaded")
_UNPAID = re.compile(r"insufficient_quota|billing|credit")
_STARTS = {
    11434: "`ollama serve`",
    8080: "`llama-server -m MODEL.gguf`",
    1234: "LM Studio's `lms server start`",
    8000: "`vllm serve MODEL`",
}


@frozen
class Refusal:
    """A server's answer that is no reply. ``status``: of HTTP, or that an error in the stream names; 0: none.

    ``code``: its words for the kind of error, all in one text. ``again``: seconds that it asks to wait.
    """

    status: int
    code: str = ""
    message: str = ""
    again: float | None = None

    @classmethod
    def of(cls, status: int, body: bytes, headers: Mapping[str, str]) -> Refusal:
        """From an answer of HTTP. ``headers``: their names in lower case."""
        text = body.decode("utf-8", "replace")
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        again = headers.get("retry-after", "")
        seconds = float(again) if re.fullmatch(r"\d{1,6}(\.\d+)?", again) else None
        return cls.told(told, status, seconds)

    @classmethod
    def told(cls, told: Any, status: int = 0, again: float | None = None) -> Refusal:
        """From what was in it, which servers shape in several ways."""
        error = told.get("error", told) if isinstance(told, Mapping) else told
        if not isinstance(error, Mapping):
            return cls(status, "", error if isinstance(error, str) else "", again)
        number = error.get("code")
        if not status and isinstance(number, int) and 400 <= number < 600:
            status = number
        code = " ".join(str(error[name]) for name in ("type", "code", "param") if error.get(name))
        words = error.get("message") or error.get("detail") or ""
        return cls(status, code, words if isinstance(words, str) else json.dumps(words), again)

    @property
    def words(self) -> str:
        """All of it, for comparison."""
        return f"{self.code} {self.message}".lower()

    @property
    def no_model(self) -> bool:
        """Whether it is about the model's name, or about an address that is not there."""
        return self.status == 404 or (self.status in (0, 400) and bool(_NO_MODEL.search(self.words)))


def learnt(refusal: Refusal, known: Collection[str]) -> str | None:
    """What of a request was refused and can be put in another way; None: nothing new."""
    if refusal.status not in (400, 422, 500, 501):
        return None
    for pattern, name in _LEARN:
        if name not in known and pattern.search(refusal.words):
            return name
    return None


def error_of(refusal: Refusal, *, base_url: str, model: str, said: Iterable[str]) -> ProviderError:
    """The error for a refusal. ``said``: the texts of the conversation, none of which are shown."""
    status, words = refusal.status, refusal.words
    if _LONG.search(words):
        return _refused(
            f"the conversation is longer than the context of the model {model!r}",
            "Start the server with a larger one (OLLAMA_CONTEXT_LENGTH, llama-server -c, vllm --max-model-len), or "
            "send less: ChatCompletions(history=HistoryLimits(total_bytes=...)).",
        )
    if _TOOLS.search(words):
        return _refused(
            f"the model {model!r} cannot call tools, as the server runs it",
            "Take a model that can, or give the session no tools. llama-server needs --jinja; vLLM "
            "--enable-auto-tool-choice and --tool-call-parser.",
        )
    if status in (401, 403):
        return _refused(f"{_host(base_url)} refuses the key, or wants one (HTTP {status})", key_hint(base_url))
    shown = _shown(refusal, said)
    if status == 429:
        if _UNPAID.search(words):
            return _refused(f"the account has no credit left{shown}", "See the billing page of the service.")
        wait = f"It asks to wait {refusal.again:g} s." if refusal.again else ""
        return _refused(f"too many requests{shown}", wait, retryable=True)
    if status == 503 and "loading" in words:
        hint = "Wait until it has loaded, then try again."
        return _unavailable(f"the server is still loading the model {model!r}", hint)
    if status >= 500 or status in (0, 408, 409):
        named = f" (HTTP {status})" if status else ""
        return _unavailable(f"the server failed{named}{shown}", "Its log says why.")
    if 300 <= status < 400:
        return _refused(f"{base_url} leads elsewhere (HTTP {status})", "Give the address that it leads to.")
    return _refused(f"the server refused the request (HTTP {status}){shown}", "")


def unknown_model(model: str, models: Collection[str], base_url: str) -> ProviderError:
    """The error for a model that the server, which has ``models``, does not know."""
    hint = f"To get it: `ollama pull {model}`." if urlsplit(base_url).port == 11434 else ""
    return _refused(str(UnknownName("model", model, models)), hint)


def no_address(base_url: str) -> ProviderError:
    """The error where there are no chat completions."""
    hint = "" if base_url.endswith("/v1") else "The address usually ends in /v1."
    return _refused(f"{base_url} has no chat/completions (HTTP 404)", hint)


def nothing_there(base_url: str) -> ProviderError:
    """The error where no server listens."""
    parts = urlsplit(base_url)
    how = _STARTS.get(parts.port or 0)
    start = f"Start it, e.g. by {how}" if how else "Start it"
    return _unavailable(
        f"no server at {parts.scheme}://{parts.netloc}", f"{start}, or set OPENAI_BASE_URL to another."
    )


def key_hint(base_url: str) -> str:
    """What to do where a key is missing or wrong."""
    if urlsplit(base_url).scheme == "https":
        return "Set OPENAI_API_KEY, or give api_key=."
    return "Set OPENAI_API_KEY together with OPENAI_BASE_URL, or give api_key=."


def _host(base_url: str) -> str:
    return urlsplit(base_url).netloc


def _shown(refusal: Refusal, said: Iterable[str]) -> str:
    """The server's words, to be added; none where they quote the conversation."""
    message = " ".join(refusal.message.split())
    if not message or _quotes(message, said):
        code = " ".join(refusal.code.split())
        return f": {code}" if re.fullmatch(r"[\w.\- ]{1,80}", code) else ""
    return f": {message if len(message) <= _LONGEST else message[:_LONGEST] + '...'}"


def _quotes(message: str, said: Iterable[str]) -> bool:
    words = re.findall(r"\w+", message.lower())
    for text in said:
        spoken = re.findall(r"\w+", text.lower())
        run = min(_RUN, len(spoken))
        if run and not _runs(words, run).isdisjoint(_runs(spoken, run)):
            return True
    return False


def _runs(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def _refused(message: str, hint: str, *, retryable: bool = False) -> ProviderError:
    return ProviderRefused(message, provider=PROVIDER, doing=ASKING, retryable=retryable, hint=hint)


def _unavailable(message: str, hint: str) -> ProviderError:
    return ProviderUnavailable(message, provider=PROVIDER, doing=ASKING, retryable=True, hint=hint)
