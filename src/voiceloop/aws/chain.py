"""boto's own configuration and credential chain, without blocking the event loop."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.errors import BadInput

if TYPE_CHECKING:
    from voiceloop.aws.account import Keys

AioSession: TypeAlias = Any  # aiobotocore has no types, and is not loaded before it is used

# Names in AWS_ENDPOINT_URL_<NAME> and in the `services` section of the config file, where they are not the
# endpoint's own name with underscores. Source: AWS SDKs and Tools reference guide, "Service-specific endpoints".
_SERVICE_IDS = {"transcribestreaming": "transcribe_streaming", "bedrock-runtime": "bedrock_runtime"}
# Under which service botocore's endpoint data lists the regions, and what comes before some of them there.
_LISTED_AS = {"bedrock-runtime": ("bedrock", "bedrock-runtime-")}
# Regions that the data of older botocore releases lacks. Source: AWS General Reference, endpoints and quotas.
_ALSO_IN = {"transcribestreaming": ("ap-southeast-5", "ap-southeast-7", "eu-central-2", "mx-central-1")}

_ROLE_SETTINGS = ("role_arn", "web_identity_token_file", "sso_session", "sso_start_url", "source_profile")


@frozen
class Credentials:
    """A frozen set of credentials: what botocore's signers take.

    ``expires`` (aware UTC) is None when they never expire, or it is not known.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires: datetime | None = None


@define(eq=False)
class Chain:
    """One boto session: what the environment and the shared AWS files say. Made in a thread by :meth:`load`."""

    session: AioSession = field(repr=False)
    profile: Mapping[str, Any] = field(repr=False)
    services: Mapping[str, Any] = field(repr=False)
    _processes: list[asyncio.subprocess.Process] = field(factory=list, repr=False)

    @classmethod
    def load(cls, profile: str | None, keys: Keys | None) -> Chain:
        """Read the configuration; blocks. Raises BadInput for an unknown profile or broken files."""
        from aiobotocore.session import AioSession as Session
        from botocore.exceptions import ConfigNotFound, ConfigParseError, ProfileNotFound

        _hush()
        session = Session(profile=profile)
        try:
            scoped = session.get_scoped_config()
            full = session.full_config
            session.register_component("data_loader", _models(session.get_config_variable("data_path")))
        except ProfileNotFound as missing:
            name = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
            raise BadInput(
                f"there is no profile {name!r} in the shared AWS files; they have "
                f"{', '.join(sorted(session.available_profiles)) or 'none'}",
                hint="Check Account(profile=...), AWS_PROFILE, AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE.",
            ) from missing
        except (ConfigNotFound, ConfigParseError) as broken:
            raise BadInput(
                "the shared AWS configuration cannot be read",
                hint="Mend ~/.aws/config and ~/.aws/credentials (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE).",
            ) from broken
        if keys is not None:
            session.set_credentials(keys.access_key, keys.secret_key, keys.session_token)
        chain = cls(session, scoped, full.get("services", {}))
        if scoped.get("credential_process"):
            chain.keep_processes()
        return chain

    def region(self, given: str | None) -> str:
        """The region: given, ``AWS_REGION``, ``AWS_DEFAULT_REGION``, the profile's. Raises BadInput without any."""
        region = (
            given
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or self.profile.get("region")
        )
        if not region:
            raise BadInput(
                "no AWS region is set",
                hint="Give Account(region='us-east-1'), or set AWS_REGION, AWS_DEFAULT_REGION or a profile's region.",
            )
        # The chain's own clients (STS, SSO) take it from the session, which does not know AWS_REGION.
        self.session.set_config_variable("region", region)
        return str(region)

    def ca_bundle(self, given: str | None) -> str | None:
        """The PEM file of certificate authorities: given, ``AWS_CA_BUNDLE``, the profile's; None: the system's."""
        path = given or self.session.get_config_variable("ca_bundle")
        return str(path) if path else None

    def configured_endpoint(self, service: str) -> tuple[str, str]:
        """Where the environment or the config file sets a URL for ``service``, in boto's order, and the URL; empty
        where none does."""
        if self.session.get_config_variable("ignore_configured_endpoint_urls"):
            return "", ""
        name, services = _SERVICE_IDS.get(service, service.replace("-", "_")), self.profile.get("services")
        section = self.services.get(str(services), {}).get(name, {})
        variables = (f"AWS_ENDPOINT_URL_{name.upper()}", "AWS_ENDPOINT_URL")
        places = [(variable, os.environ.get(variable)) for variable in variables]
        if isinstance(section, Mapping):
            places.append((f"endpoint_url of {name} in [services {services}]", section.get("endpoint_url")))
        places.append(("endpoint_url of the profile", self.profile.get("endpoint_url")))
        return next(((where, str(url)) for where, url in places if url), ("", ""))

    def regional_endpoint(self, service: str, region: str) -> tuple[str, tuple[str, ...]]:
        """The service's URL in ``region``, and the regions that have it if, as far as botocore knows, this has not.

        A region that botocore does not know passes through, with the name that its partition gives.
        """
        from botocore.regions import EndpointResolver

        data = self.session.get_component("data_loader").load_data("endpoints")
        resolver = EndpointResolver(data)
        made = resolver.construct_endpoint(
            service,
            region,
            use_dualstack_endpoint=bool(self.session.get_config_variable("use_dualstack_endpoint")),
            use_fips_endpoint=bool(self.session.get_config_variable("use_fips_endpoint")),
        )
        if made is None:
            return f"https://{service}.{region}.amazonaws.com", ()
        listed, prefix = _LISTED_AS.get(service, (service, ""))
        partition = made["partition"]
        names = resolver.get_available_endpoints(listed, partition, allow_non_regional=bool(prefix))
        regions = {name.removeprefix(prefix) for name in names}
        regions.update(_ALSO_IN.get(service, ()) if partition == "aws" else ())
        regions = {name for name in regions if name in _known(data, partition)}
        lacking = region in _known(data, partition) and regions and region not in regions
        return f"https://{made['hostname']}", tuple(sorted(regions)) if lacking else ()

    def preload(self, *services: str) -> None:
        """Read the models that clients of ``services`` need; blocks. Making the clients is then a matter of ms."""
        loader = self.session.get_component("data_loader")
        for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
            loader.load_data(name)
        for service in services:
            loader.load_service_model(service, "service-2", api_version=None)
            loader.load_service_model(service, "endpoint-rule-set-1", api_version=None)

    @property
    def calls_aws(self) -> bool:
        """Whether the chain may call AWS itself, to assume a role or to sign in."""
        return any(self.profile.get(name) for name in _ROLE_SETTINGS) or "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ

    def preload_roles(self, tls: ssl.SSLContext, proxy: Callable[[str], str | None]) -> None:
        """Make ready for the chain's own calls: connections that check certificates, and models; blocks."""
        from voiceloop.aws.connections import CheckedConfig

        self.session.set_default_client_config(CheckedConfig(tls, proxy))
        self.preload("sts", "sso", "sso-oidc")

    def keep_processes(self) -> None:
        """Have the profile's ``credential_process`` started here; botocore leaves it behind when it is cancelled."""
        from aiobotocore.credentials import AioProcessProvider

        async def start(*command: str, **pipes: Any) -> asyncio.subprocess.Process:
            self._processes.append(await asyncio.create_subprocess_exec(*command, **pipes))
            return self._processes[-1]

        name = self.session.get_config_variable("profile") or "default"
        mine = AioProcessProvider(profile_name=name, load_config=lambda: self.session.full_config, popen=start)
        resolver = self.session.get_component("credential_provider")
        resolver.insert_after(mine.METHOD, mine)
        resolver.remove(mine.METHOD)  # the first of the two

    async def end_processes(self) -> None:
        """End the processes that still run, and wait for it."""
        while self._processes:
            process = self._processes.pop()
            if process.returncode is None:
                process.kill()
                with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                    await process.communicate()

    async def credentials(self) -> Credentials | None:
        """Credentials, refreshed when they are about to expire. Raises what botocore raises."""
        try:
            held = await self.session.get_credentials()
            if held is None:
                return None
            frozen = await held.get_frozen_credentials()
        finally:
            await self.end_processes()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token, _expiry(held))


def _hush() -> None:
    """Keep the debug logs that have tokens and what people said out of one that is on for everything: botocore's, and
    that of HTTP/2's headers.

    Whoever sets these loggers' own level gets it.
    """
    for name in ("botocore", "aiobotocore", "hpack"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)


@functools.cache
def _models(data_path: str | None) -> Any:
    """botocore's models and endpoint data, which never change: read once, not once for each account's keys."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _known(data: Mapping[str, Any], partition: str) -> Mapping[str, Any]:
    regions: Mapping[str, Any] = next(p["regions"] for p in data["partitions"] if p["partition"] == partition)
    return regions


def _expiry(held: Any) -> datetime | None:
    """When refreshable credentials end, to the second, as botocore tells no more than whether it is within a time."""
    week = 7 * 24 * 3600
    if not hasattr(held, "refresh_needed") or not held.refresh_needed(week):
        return None
    low, high = 0, week  # they expire in [low, high) seconds
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if held.refresh_needed(middle) else (middle, high)
    return clock.utcnow() + timedelta(seconds=low)
