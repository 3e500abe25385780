"""What can go wrong on the way to AWS, in voiceloop's errors; ``voiceloop.aws.faults`` has what AWS answers."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import frozen

from voiceloop.aws import faults
from voiceloop.aws.fault_hints import NOVA, PROVIDERS, REACH, WAIT
from voiceloop.aws.wire.proxy import ProxyUnreachable, TunnelRefused
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import (
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)

Reason: TypeAlias = Callable[[], ProviderError]
"""Makes an error anew: one that is raised in two tasks would mix their tracebacks."""

_PROXY_HINT = "HTTPS_PROXY, NO_PROXY or the account's proxy say which proxy is used."
_CERTIFICATE_HINT = (
    "Set AWS_CA_BUNDLE or the account's ca_bundle if a proxy or a test server has its own authority; if it has "
    "expired or is not valid yet, check the clock of this machine."
)
_HTTP2_HINT = "A proxy that opens TLS, or a test server, may lack HTTP/2."


@frozen
class Trouble:
    """Makes the errors of one event stream. ``host`` is where it goes, with the port."""

    service: str
    operation: str
    host: str

    @property
    def _provider(self) -> str:
        return "Amazon Nova Sonic" if self.operation == NOVA else PROVIDERS.get(self.service, "AWS")

    def _make(
        self,
        kind: type[ProviderError],
        message: str,
        *,
        cause: BaseException | None = None,
        retryable: bool = True,
        hint: str = WAIT,
    ) -> ProviderError:
        doing = f"calling {self.operation}"
        error = kind(message, provider=self._provider, doing=doing, retryable=retryable, hint=hint)
        error.__cause__ = cause
        return error

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """An HTTP answer other than 200."""
        return faults.from_response(self.service, self.operation, status, headers, body)

    def told(self, message: Message) -> ProviderError:
        """An exception or error within the stream."""
        return faults.from_message(self.service, self.operation, message)

    def unreachable(self, error: BaseException) -> ProviderError:
        """The connection could not be opened."""
        if isinstance(error, TunnelRefused):
            hint = (
                "Put its user and password into the URL: http://USER:PASSWORD@HOST:PORT. "
                if error.status == 407
                else ""
            )
            return self._make(
                ProviderRefused if error.status in (403, 407) else ProviderUnavailable,
                f"the proxy opened no tunnel to {self.host} ({error})",
                cause=error,
                retryable=error.status >= 500,
                hint=hint + _PROXY_HINT,
            )
        if isinstance(error, ProxyUnreachable):
            message = f"the proxy {error.where} cannot be reached ({_words(error)})"
            return self._make(ProviderUnavailable, message, cause=error, hint=_PROXY_HINT)
        if isinstance(error, ssl.SSLCertVerificationError):
            message = f"the certificate of {self.host} is not trusted ({error.verify_message})"
            return self._make(ProviderUnavailable, message, cause=error, retryable=False, hint=_CERTIFICATE_HINT)
        if isinstance(error, ssl.SSLError) and "NO_APPLICATION_PROTOCOL" in (error.reason or ""):
            return self.no_http2(None)
        message = f"{self.host} cannot be reached ({_words(error)})"
        return self._make(ProviderUnavailable, message, cause=error, hint=REACH)

    def no_http2(self, chosen: str | None) -> ProviderError:
        """TLS stands, but ALPN did not choose HTTP/2."""
        offered = f"only {chosen}" if chosen else "no protocol that is known"
        message = f"{self.host} does not speak HTTP/2: it offers {offered}"
        return self._make(ProviderRefused, message, retryable=False, hint=_HTTP2_HINT)

    def late(self, what: str, seconds: float) -> ProviderError:
        """A deadline passed."""
        return self._make(ProviderTimeout, f"{what} within {seconds:g} s", hint=f"{WAIT} {REACH}")

    def lost(self, error: BaseException | None, goodbye: str | None) -> ProviderError:
        """The connection went away."""
        why = ", ".join(filter(None, (_words(error) if error else "", f"GOAWAY {goodbye}" if goodbye else "")))
        message = "the connection was lost before the stream had ended"
        return self._make(ProviderUnavailable, f"{message} ({why})" if why else message, cause=error)

    def reset(self, code: str) -> ProviderError:
        """The peer reset the stream."""
        return self._make(ProviderUnavailable, f"the service reset the stream ({code})")

    def unserved(self, code: str) -> ProviderError:
        """The peer said goodbye before it looked at the request."""
        return self._make(
            ProviderUnavailable, f"the service closes the connection, the request unread (GOAWAY {code})"
        )

    def ended(self) -> ProviderError:
        """There is more to send, but the peer has ended the stream without an error."""
        return self._make(ProviderUnavailable, "the service ended the stream before all was sent")

    def nonsense(self, error: BaseException) -> ProviderError:
        """The peer broke HTTP/2 or the event stream's encoding."""
        return self._make(ProviderMisbehaved, f"what came from {self.host} cannot be read ({error})", cause=error)

    def cut(self) -> ProviderError:
        """A send was cancelled or failed after its event was signed: nothing can follow it."""
        return self._make(ProviderUnavailable, "the stream was reset because sending an event was cut short")

    def closed(self) -> ProviderError:
        """The stream was left."""
        return self._make(ProviderUnavailable, "the stream is closed", retryable=False, hint="")


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
