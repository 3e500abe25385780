"""Who calls AWS, where, and through what: region, credentials, endpoints, proxy and certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from attrs import define, field, frozen, validators

from voiceloop import clock
from voiceloop.aws.chain import Chain, Credentials
from voiceloop.aws.fault_hints import PROVIDERS
from voiceloop.aws.faults import expired, from_boto
from voiceloop.aws.places import check_region, check_url, endpoint_urls, is_region
from voiceloop.aws.shelf import shelved
from voiceloop.aws.wire.stream import Deadlines, EventStream, StreamRequest, Wire
from voiceloop.aws.wire.tls import shared_context
from voiceloop.errors import BadInput, ProviderRefused, ProviderTimeout, VoiceloopError
from voiceloop.interfaces import Resources

if TYPE_CHECKING:
    from voiceloop.aws.clients import Client

__all__ = ("Access", "Account", "Credentials", "Keys", "is_account")

# How long, in seconds, the chain may take: it may ask a metadata service, an identity provider or a program.
CREDENTIALS_DEADLINE = 30.0


def _key(keys: Keys, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value or value != value.strip():
        raise BadInput(
            f"{attribute.name} must be a text that is not empty, without blanks around it",
            hint="Its value is not shown here. See IAM console > Users > Security credentials.",
        )


@frozen
class Keys:
    """Credentials given by hand, held in memory only; no part of them shows in a repr.

    ``expires``: when temporary credentials end (aware UTC), so that long streams are renewed before.
    Raises BadInput.
    """

    access_key: str = field(repr=False, validator=_key)
    secret_key: str = field(repr=False, validator=_key)
    session_token: str | None = field(default=None, repr=False, validator=validators.optional(_key))
    expires: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if self.expires is not None and not isinstance(self.expires, datetime):
            raise BadInput(f"expires must be a datetime, not a {type(self.expires).__name__}")
        if self.expires is not None and self.expires.tzinfo is None:
            raise BadInput(f"expires={self.expires!r} has no time zone", hint="Give it in UTC: datetime.now(UTC).")


@frozen
class Account:
    """Whose AWS account is used, and how it is reached. An immutable value; making one does no I/O.

    ``region``: by default ``AWS_REGION``, then ``AWS_DEFAULT_REGION``, then the profile's. ``profile``: a name in
    the shared AWS files. ``keys``: credentials for this account alone; by default boto's whole chain. ``endpoints``:
    a URL by service (``transcribestreaming``, ``bedrock-runtime``, ``polly``), or one under ``""`` for all; by
    default boto's ``AWS_ENDPOINT_URL*`` variables and configuration. ``ca_bundle``: a PEM file; by default
    ``AWS_CA_BUNDLE``, then the system's. ``proxy``: by default ``HTTPS_PROXY`` and ``NO_PROXY``. ``wire``:
    what carries event streams and requests, for tests.

    Raises BadInput for a URL or proxy that cannot be one, UnknownName for a region or a service that cannot.
    """

    region: str | None = None
    profile: str | None = None
    keys: Keys | None = None
    endpoints: Mapping[str, str] = field(factory=dict, hash=False, converter=endpoint_urls)
    ca_bundle: Path | str | None = None
    proxy: str | None = field(default=None, repr=False)
    wire: Wire | None = None

    def __attrs_post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                raise BadInput(f"{name} must be of type {kinds[0].__name__}, not {type(value).__name__}")
        if self.region is not None:
            check_region(self.region)
        if self.profile is not None and not self.profile:
            raise BadInput("profile='' must be the name of a profile, or None")
        if self.proxy is not None:
            check_url("proxy", self.proxy, proxy=True)

    async def access(self, resources: Resources) -> Access:
        """The account made ready: configuration read, region known. Shared by all that use the same pool.

        The environment and the shared files are read once in a pool. Raises BadInput for an unknown profile, no
        region (naming the variables), or a file of certificates that does not exist. Never contacts AWS.
        """

        @asynccontextmanager
        async def open_access() -> AsyncIterator[Access]:
            with clock.outside_work():
                access = await anyio.to_thread.run_sync(Access.read, self, resources)
            try:
                yield access
            finally:
                await access.chain.end_processes()

        return await shelved(resources, ("voiceloop.aws.access", self), open_access)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "region": (str,),
    "profile": (str,),
    "keys": (Keys,),
    "ca_bundle": (str, Path),
    "proxy": (str,),
    "wire": (Wire,),
}


def is_account(instance: object, attribute: Any, value: object) -> None:
    """The validator of every ``account`` argument. Raises BadInput that says what to pass."""
    if isinstance(value, Account):
        return
    given, hint = type(value).__name__, "Leave it out for the account of the environment."
    if isinstance(value, Keys):
        hint = f"Pass {attribute.name}=Account(keys=...)."
    elif isinstance(value, str) and is_region(value):
        given, hint = repr(value), f'Pass {attribute.name}=Account(region="{value}").'
    elif isinstance(value, str):  # it may be a key
        hint = f'Pass {attribute.name}=Account(region="...") or Account(profile="...").'
    raise BadInput(f"{attribute.name} must be an Account, not {given}", hint=hint)


@define(eq=False)
class Access:
    """An account made ready, in one pool: what providers call. :meth:`Account.access` makes it."""

    account: Account
    region: str
    ca_bundle: str | None
    chain: Chain = field(repr=False)
    resources: Resources = field(repr=False)
    _signing_in: anyio.Lock = field(factory=anyio.Lock, repr=False)
    _prepared: bool = field(default=False, repr=False)
    _wire: Wire | None = field(default=None, repr=False)

    @classmethod
    def read(cls, account: Account, resources: Resources) -> Access:
        """Read what the account leaves to the environment and the shared files; blocks. Raises BadInput."""
        chain = Chain.load(account.profile, account.keys)
        chain.preload()
        region = chain.region(account.region)
        check_region(region, hint="See AWS_REGION, AWS_DEFAULT_REGION and the profile's region.")
        ca_bundle = chain.ca_bundle(str(account.ca_bundle) if account.ca_bundle else None)
        if ca_bundle is not None and not Path(ca_bundle).is_file():
            raise BadInput(
                f"there is no file of certificates {ca_bundle!r}",
                hint="Check Account(ca_bundle=...), AWS_CA_BUNDLE and the profile's ca_bundle.",
            )
        return cls(account, region, ca_bundle, chain, resources, wire=account.wire)

    async def credentials(self) -> Credentials:
        """Fresh credentials, frozen. Raises ProviderRefused, naming the variables and commands, without any, and for
        keys of the account that have expired."""
        keys = self.account.keys
        if keys is not None:
            if keys.expires is not None and keys.expires <= clock.utcnow():
                raise expired(keys.expires)
            return Credentials(keys.access_key, keys.secret_key, keys.session_token, keys.expires)
        with clock.outside_work():
            found = await self._found()
        if found is None:
            from botocore.exceptions import NoCredentialsError

            raise from_boto("", "", NoCredentialsError())
        return found

    async def _found(self) -> Credentials | None:
        from botocore.exceptions import BotoCoreError, ClientError

        failure: Exception
        try:
            with anyio.fail_after(CREDENTIALS_DEADLINE):
                # One caller asks the identity provider, the others take what it got.
                async with self._signing_in:
                    if self.chain.calls_aws and not self._prepared:
                        tls = await self.tls()
                        await anyio.to_thread.run_sync(self.chain.preload_roles, tls, self.proxy)
                        self._prepared = True
                    return await self.chain.credentials()
        except VoiceloopError:
            raise
        except TimeoutError:
            failure = ProviderTimeout(
                f"no credentials after {CREDENTIALS_DEADLINE:g} s",
                provider="AWS",
                retryable=True,
                hint="The profile's credential_process, identity provider or metadata service does not answer.",
            )
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            failure = from_boto("", "", error)
        raise failure

    def set_endpoint(self, service: str) -> str | None:
        """The URL that the account, the environment or the config file sets for ``service``, or None.

        Raises BadInput, naming where it is set, for what is no URL of an endpoint.
        """
        url = self.account.endpoints.get(service) or self.account.endpoints.get("")
        if not url:
            where, url = self.chain.configured_endpoint(service)
            if url:
                check_url(where, url)
        return url.rstrip("/") if url else None

    def endpoint(self, service: str) -> str:
        """The URL of ``service`` in the region, without a path.

        Raises ProviderRefused, with the regions that have it, where boto's data says that the region has not.
        """
        url = self.set_endpoint(service)
        if url is not None:
            return url
        url, elsewhere = self.chain.regional_endpoint(service, self.region)
        if elsewhere:
            provider = PROVIDERS.get(service, service)
            raise ProviderRefused(
                f"the region {self.region} does not have it; these do: {', '.join(elsewhere)}",
                provider=provider,
                hint=(
                    f"Choose one of them by Account(region=...) or AWS_REGION. If boto's list is too old, update "
                    f"botocore or give Account(endpoints={{{service!r}: {url!r}}})."
                ),
            )
        return url

    def proxy(self, url: str) -> str | None:
        """The proxy through which ``url`` is reached."""
        if self.account.proxy is not None:
            return self.account.proxy
        from botocore.utils import get_environ_proxies

        found: str | None = get_environ_proxies(url).get(urlsplit(url).scheme)
        return f"http://{found}" if found and "://" not in found else found

    async def tls(self) -> ssl.SSLContext:
        """The TLS context of boto's clients, made once, off the event loop. ALPN is not set."""
        return await shared_context(self.resources, self.ca_bundle)

    def stream(
        self, request: StreamRequest, deadlines: Deadlines | None = None
    ) -> AbstractAsyncContextManager[EventStream]:
        """Open an event stream."""
        if self._wire is None:
            from voiceloop.aws.wire.duplex import Http2Wire

            self._wire = Http2Wire()
        return self._wire.open(request, self, deadlines or Deadlines())

    async def client(self, service: str) -> Any:
        """The pool's aiobotocore client of ``service`` (``bedrock-runtime``, ``polly``): one attempt per call, enough
        connections for hundreds of sessions, kept alive for minutes."""
        return (await self.service(service)).boto

    async def warm(self, service: str, connections: int = 1) -> None:
        """Have that many open connections of the client ready, beside those that others asked for; returns soon.

        Raises ProviderRefused as :meth:`client` does; a connection that cannot be opened shows at the next call.
        """
        client = await self.service(service)
        await client.connections.warm(client.boto.meta.endpoint_url, connections)

    async def service(self, service: str) -> Client:
        """The pool's client of ``service`` with the connections under it."""
        from voiceloop.aws.clients import open_client

        key = ("voiceloop.aws.client", self.account, service)
        return await shelved(self.resources, key, lambda: open_client(self, service), lambda client: client.busy)
