"""The emulator: AWS's speech services on this machine, speaking their real protocols."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Coroutine, Iterable, MutableSet
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.abc import TaskGroup

from voiceloop import clock
from voiceloop.aws.account import Account, Keys
from voiceloop.engine.pool import Pool
from voiceloop.engine.supervisor import Supervisor
from voiceloop.errors import BadInput, SessionClosed
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.faults import Fault, Faults
from voiceloop.testing.aws.record import Call, Denied, Record
from voiceloop.testing.aws.settings import Settings, Timers
from voiceloop.testing.checks import number, of_kind, shown, whole

if TYPE_CHECKING:
    from voiceloop.testing.aws.certificates import Certificates
    from voiceloop.testing.aws.desk import Desk
    from voiceloop.testing.aws.nova import NovaSonicStream
    from voiceloop.testing.aws.stage import Services

_API_KEY = "AWS_BEARER_TOKEN_BEDROCK"
_CLOSE = 10.0
_LONGEST_KEYS = 366 * 86_400.0


class Emulator:
    """Transcribe, Bedrock, Polly and Nova Sonic, and the STS that callers need, behind one TLS port on 127.0.0.1.

    ::

        async with Emulator(backing=Backing.offline()) as aws:
            async with Session(Cascade(Transcribe(account=aws.account()), ...)) as session: ...

    ``backing``: what hears, answers and speaks (by default the engines of ``voiceloop.local``). ``timers``: how long
    the services' timers are, 1.0 being AWS's. ``faults``: what goes wrong. ``denied``: IAM actions that are not
    allowed, such as ``"polly:*"``. ``settings``: quotas. ``port``: 0 takes a free one. ``services``: other services,
    in the place of AWS's speech services; see :mod:`voiceloop.testing.aws.exchange`.

    On virtual time (``voiceloop.testing.virtual_time``) no port is opened; use ``account(memory=True)``.
    Leaving it stops every stream and leaves no task, socket or file; an error inside a service is raised then.
    Raises BadInput for values that make no sense, UnknownName for an action that no service here needs; entering
    raises OSError when the port is taken.
    """

    def __init__(
        self,
        backing: Backing | None = None,
        *,
        timers: float = 1.0,
        faults: Iterable[Fault] = (),
        denied: Iterable[str] = (),
        settings: Settings | None = None,
        port: int = 0,
        services: Services | None = None,
    ) -> None:
        if backing is not None:
            of_kind(
                "backing", backing, Backing, "Backing.scripted(...), or Backing(recognizer, reasoner, synthesizer)."
            )
        if settings is not None:
            of_kind("settings", settings, Settings)
        if services is not None and not callable(services):
            raise BadInput(f"services={shown(services)}: a function of a Stage is needed")
        whole("port", port, most=65535)
        self.timers = Timers(timers)
        self.settings = settings or Settings()
        self.faults = Faults.of(faults)
        self._record = Record(Denied(denied, known=services is None))
        self.backing = (backing or Backing.offline()).begun()
        self._services = services
        self._port = port
        self._supervisor: Supervisor | None = None
        self._house: _House | None = None

    async def __aenter__(self) -> Self:
        if self._supervisor is not None:
            raise BadInput("the emulator is entered once", hint="Make another one.")
        self._supervisor = Supervisor("AWS emulator")
        await self._supervisor.start(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        house, self._house = self._house, None
        assert self._supervisor is not None
        self._supervisor.stop()
        await self._supervisor.join(_CLOSE)
        if error is None and self._supervisor.failure is not None:
            raise self._supervisor.failure
        if error is None and house is not None and house.desk.failures:
            raise house.desk.failures[0]

    async def _run(self, ready: Callable[[], None]) -> None:
        from voiceloop.testing.aws.desk import Desk
        from voiceloop.testing.aws.signatures import Keyring
        from voiceloop.testing.aws.stage import Stage, services

        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(Pool())
            ring = Keyring()
            stage = Stage(self.backing, pool, self.timers, self.settings, self.faults, self._record.account, ring)
            desk = Desk((self._services or services)(stage), ring, self._record, self.faults)
            group = await stack.enter_async_context(anyio.create_task_group())
            self._house = house = _House(desk, group, ring.issue(temporary=False))
            if not clock.simulated():
                from voiceloop.testing.aws.certificates import certified
                from voiceloop.testing.aws.server import listen

                house.certificates = stack.enter_context(certified())
                house.port = await stack.enter_async_context(
                    listen(desk, house.certificates.context, self._port, self.settings, house.next_connection)
                )
            ready()
            await anyio.sleep_forever()

    @property
    def url(self) -> str:
        """Where all services are: ``https://127.0.0.1:PORT``."""
        return f"https://127.0.0.1:{self._sockets().port}"

    @property
    def ca_file(self) -> Path:
        """The certificate authority that callers must trust, a PEM file; it is gone after the emulator."""
        certificates = self._sockets().certificates
        assert certificates is not None
        return certificates.file

    @property
    def keys(self) -> Keys:
        """Credentials that are accepted; made for this emulator, and worth nothing anywhere else."""
        return self._open().keys

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order."""
        return self._record.calls

    @property
    def actions(self) -> set[tuple[str, str]]:
        """The IAM actions, each with its resource, that the calls so far were allowed."""
        return self._record.actions

    @property
    def denied(self) -> MutableSet[str]:
        """Patterns of IAM actions that are not allowed; may be changed, and set to others.

        That raises BadInput for what is no list, UnknownName for an action that no service here needs.
        """
        return self._record.denied

    @denied.setter
    def denied(self, patterns: Iterable[str]) -> None:
        self._record.denied = Denied(patterns, known=self._services is None)

    @property
    def nova(self) -> NovaSonicStream:
        """Nova Sonic: its ``profile``, ``limits`` and ``timers`` hold for new connections and may be changed;
        ``connections`` tells what each one received. Raises BadInput where it is not among the services."""
        from voiceloop.testing.aws.nova import NovaSonicStream

        for service in self._open().desk.services:
            if isinstance(service, NovaSonicStream):
                return service
        raise BadInput("Nova Sonic is not among this emulator's services")

    def issue(self, seconds: float | None = None) -> Keys:
        """More credentials: temporary ones, with a session token, that expire after ``seconds``; None: never.

        Raises BadInput for less than nothing, or more than a year.
        """
        if seconds is not None:
            number("seconds", seconds, most=_LONGEST_KEYS)
        expires = None if seconds is None else clock.utcnow() + timedelta(seconds=seconds)
        return self._open().desk.ring.issue(expires=expires)

    def api_key(self, region: str = "us-east-1") -> str:
        """A new API key of Bedrock in ``region``, for ``AWS_BEARER_TOKEN_BEDROCK``: Converse takes it in the place of
        a signature.

        Raises BadInput for what cannot be a region.
        """
        Account(region=region)
        return self._open().desk.ring.issue_api_key(self.keys, region)

    def account(self, region: str = "us-east-1", *, memory: bool = False, keys: Keys | None = None) -> Account:
        """An account whose services are these. ``memory``: all goes without sockets, on virtual time too."""
        house = self._open()
        keys = keys or house.keys
        if memory:
            from voiceloop.testing.aws.memory import MemoryWire

            wire = MemoryWire(house.desk, house.spawn, house.next_connection)
            ca_file = self.ca_file if house.port else None
            return Account(region=region, keys=keys, endpoints=self._endpoints(), ca_bundle=ca_file, wire=wire)
        return Account(region=region, keys=keys, endpoints=self._endpoints(), ca_bundle=self.ca_file)

    def environ(self, region: str = "us-east-1") -> dict[str, str]:
        """Environment variables that point any AWS SDK at this emulator; a session token that is set is blanked, and
        in the place of an API key of Bedrock that is set comes one of the emulator.

        Raises BadInput for what cannot be a region.
        """
        Account(region=region)
        bearer = {_API_KEY: self.api_key(region)} if _API_KEY in os.environ else {}
        unproxied = ",".join(filter(None, (os.environ.get("NO_PROXY", ""), "127.0.0.1,localhost")))
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING": self.url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url,
            "AWS_ENDPOINT_URL_POLLY": self.url,
            "AWS_CA_BUNDLE": str(self.ca_file),
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
            "AWS_SESSION_TOKEN": "",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": unproxied,
            "no_proxy": unproxied,
            **bearer,
        }

    def _endpoints(self) -> Any:
        """One URL for all services; on virtual time, one where nobody listens."""
        return {"": self.url if self._open().port else "https://127.0.0.1:9"}

    def _open(self) -> _House:
        if self._house is None:
            raise SessionClosed(
                "the emulator is not running", hint="Use it inside 'async with Emulator(...) as aws:'."
            )
        return self._house

    def _sockets(self) -> _House:
        house = self._open()
        if not house.port:
            raise BadInput("on virtual time the emulator has no port", hint="Use account(memory=True).")
        return house


class _House:
    """What stands while an emulator is entered."""

    def __init__(self, desk: Desk, group: TaskGroup, keys: Keys) -> None:
        self.desk = desk
        self.port = 0
        self.certificates: Certificates | None = None
        self.keys = keys
        self._group = group
        self._connections = itertools.count(1)

    def next_connection(self) -> int:
        """The number of a new connection."""
        return next(self._connections)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task that ends with the emulator."""
        self._group.start_soon(work)
