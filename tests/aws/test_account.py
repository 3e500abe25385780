"""Accounts: what may be given, what the environment and the shared files say, and what shows of it."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voiceloop as vl
from voiceloop.aws import Bedrock, NovaSonic, Polly, Transcribe
from voiceloop.aws.account import Access, Account, Keys
from voiceloop.aws.wire.stream import Deadlines, EventStream, StreamRequest, Wire
from voiceloop.errors import BadInput, ProviderRefused
from voiceloop.interfaces import ListenConfig
from voiceloop.testing.aws import Backing, Emulator

from .web import Authority

pytestmark = pytest.mark.usefixtures("bare_environment")

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI")


def in_region(region: str, **settings: object) -> Account:
    return Account(region, keys=KEYS, **settings)  # type: ignore[arg-type]


# ---- construction


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"region": "US East (N. Virginia)"}, "unknown region 'US East"),
        ({"region": ""}, "unknown region ''"),
        ({"region": "us-east-1/"}, "unknown region 'us-east-1/'. Did you mean 'us-east-1'"),
        ({"region": "us-east1"}, "unknown region 'us-east1'. Did you mean 'us-east-1'"),
        ({"endpoints": {"transcribe": "https://h"}}, "endpoints 'transcribe'. Did you mean 'transcribestreaming'"),
        ({"endpoints": {"bedrock": "https://h"}}, "endpoints 'bedrock'. Did you mean 'bedrock-runtime'"),
        ({"profile": ""}, "profile=''"),
        ({"endpoints": {"polly": "127.0.0.1:8443"}}, r"endpoints\['polly'\]='127.0.0.1:8443'"),
        ({"endpoints": {"": "https://host/path"}}, "a path is not used"),
        ({"endpoints": {"": "https://host:port"}}, "endpoints"),
        ({"endpoints": {"": "https://"}}, "endpoints"),
        ({"endpoints": {"polly": "https://me:hunter2@host"}}, "must not hold"),
        ({"proxy": "socks5://host"}, "proxy must begin with"),
        ({"proxy": "host:3128"}, "proxy must begin with"),
        ({"proxy": "https://me:hunter2@host"}, "proxy must begin with http://"),
        ({"region": 1}, "region must be of type str, not int"),
        ({"profile": b"hunter2"}, "profile must be of type str"),
        ({"keys": ("a", "hunter2")}, "keys must be of type Keys, not tuple"),
        ({"endpoints": "https://me:hunter2@host"}, "endpoints must be URLs by the names of services"),
        ({"endpoints": {"polly": None}}, "endpoints must be URLs"),
        ({"ca_bundle": 1}, "ca_bundle must be of type str"),
        ({"wire": "http2"}, "wire must be of type Wire"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_given(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput, match=named) as refused:
        Account(**wrong)  # type: ignore[arg-type]
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"access_key": "", "secret_key": "s"}, "access_key"),
        ({"access_key": "a", "secret_key": None}, "secret_key"),
        ({"access_key": "a", "secret_key": " hush\n"}, "secret_key"),
        ({"access_key": "a", "secret_key": "s", "session_token": ""}, "session_token"),
        ({"access_key": "a", "secret_key": "s", "expires": datetime(2030, 1, 1)}, "time zone"),
        ({"access_key": "a", "secret_key": "s", "expires": "2030-01-01"}, "must be a datetime, not a str"),
    ],
)
def test_keys_that_cannot_be_are_refused_without_being_shown(keys: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput, match=named) as refused:
        Keys(**keys)  # type: ignore[arg-type]
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("provider", [Bedrock, NovaSonic, Polly, Transcribe])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("us-east-1", r"account must be an Account, not 'us-east-1'. Pass account=Account\(region=\"us-east-1\"\)"),
        ("hunter2", r"not str. Pass account=Account\(region="),
        (Keys("AKIDEXAMPLE", "hunter2"), r"not Keys. Pass account=Account\(keys="),
        (None, "not NoneType. Leave it out"),
        (Account, "not type. Leave it out"),
    ],
)
def test_a_provider_says_which_account_it_wants(provider: type, other: object, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        provider(account=other)
    assert "hunter2" not in str(refused.value)


def test_an_account_is_a_value() -> None:
    assert in_region("us-east-1") == in_region("us-east-1")
    assert hash(in_region("us-east-1", endpoints={"": "https://h"})) == hash(in_region("us-east-1"))
    assert in_region("us-east-1") != Account("us-east-1", keys=Keys("AKIDEXAMPLE", "another"))


def test_making_an_account_loads_no_package_of_aws() -> None:
    code = (
        "import sys; from voiceloop.aws import Account, Keys; Account('us-east-1', keys=Keys('a', 'b'));"
        "print([m for m in ('botocore', 'aiobotocore', 'aiohttp', 'h2', 'amazon_transcribe') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


# ---- secrets

secrets = st.text(
    st.characters(codec="ascii", categories=("L", "N"), include_characters="+/="), min_size=12, max_size=60
)


@given(secrets, secrets, secrets, secrets)
def test_no_key_shows_in_any_repr(access: str, secret: str, token: str, password: str) -> None:
    keys = Keys(access, secret, token, datetime(2030, 1, 1, tzinfo=UTC))
    account = Account("us-east-1", keys=keys, proxy=f"http://user:{password.replace('/', 'x')}@proxy:3128")
    shown = f"{keys!r} {keys} {account!r} {account} {('voiceloop.aws.access', account)!r}"
    assert not [hidden for hidden in (access, secret, token, password.replace("/", "x")) if hidden in shown]


async def test_no_token_shows_in_the_debug_log_of_an_event_stream(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Emulator(Backing.scripted()) as aws, vl.Pool() as pool:
        keys = aws.issue(3600)
        async with Transcribe(account=aws.account(keys=keys)).open(ListenConfig(pool)):
            pass
    assert keys.session_token
    assert keys.session_token not in caplog.text
    assert keys.access_key not in caplog.text


async def test_no_key_shows_in_a_log_or_an_access(pool: vl.Pool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = Keys("AKIAVERYSECRETKEYID", "verysecretsecretkey", "verysecrettoken")
    access = await Account("us-east-1", keys=keys, endpoints={"": "https://127.0.0.1:1"}).access(pool)
    client = await access.client("polly")
    shown = (
        f"{caplog.text} {access!r} {access.chain!r} {await access.credentials()!r} {client!r} {client.meta.config!r}"
    )
    assert "very" not in shown.lower()


# ---- region


def profile(folder: Path, text: str) -> None:
    (folder / "config").write_text(text)


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        ("eu-west-1", {"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-west-1"),
        (None, {"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "us-west-2"}, "us-east-2"),
        (None, {"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "ap-south-1"),
        (None, {}, "ap-south-1"),
        (None, {"AWS_PROFILE": "other"}, "sa-east-1"),
    ],
)
async def test_the_region_comes_from_argument_then_variables_then_profile(
    pool: vl.Pool,
    bare_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    argument: str | None,
    environment: dict[str, str],
    expected: str,
) -> None:
    profile(bare_environment, "[default]\nregion = ap-south-1\n[profile other]\nregion = sa-east-1\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (await Account(argument, keys=KEYS).access(pool)).region == expected


async def test_a_profile_that_is_named_gives_its_region(pool: vl.Pool, bare_environment: Path) -> None:
    profile(bare_environment, "[profile other]\nregion = sa-east-1\n")
    assert (await Account(profile="other", keys=KEYS).access(pool)).region == "sa-east-1"


async def test_without_a_region_every_place_to_set_it_is_named(pool: vl.Pool) -> None:
    with pytest.raises(BadInput) as missing:
        await Account(keys=KEYS).access(pool)
    for place in ("Account(region=", "AWS_REGION", "AWS_DEFAULT_REGION", "profile"):
        assert place in str(missing.value)


async def test_a_profile_that_does_not_exist_is_named_with_those_that_do(
    pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(bare_environment, "[profile work]\nregion = sa-east-1\n")
    with pytest.raises(BadInput, match=r"'home'.*work"):
        await Account(profile="home").access(pool)
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(BadInput, match=r"'gone'.*work"):
        await in_region("us-east-1").access(pool)


async def test_broken_files_and_wrong_settings_are_bad_input(
    pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(bare_environment, "this is no [ini\n")
    with pytest.raises(BadInput, match="AWS_CONFIG_FILE"):
        await in_region("us-east-1").access(pool)
    profile(bare_environment, "")
    monkeypatch.setenv("AWS_REGION", "Mars!")
    with pytest.raises(BadInput, match=r"'Mars!'.*AWS_REGION"):
        await Account(keys=KEYS).access(pool)


# ---- endpoints


@pytest.mark.parametrize(
    ("variables", "file", "named"),
    [
        ({"AWS_ENDPOINT_URL_POLLY": "nowhere"}, "", "AWS_ENDPOINT_URL_POLLY='nowhere'"),
        ({"AWS_ENDPOINT_URL": "ftp://h"}, "", "AWS_ENDPOINT_URL='ftp://h'"),
        ({}, "[default]\nendpoint_url = h:1\n", "endpoint_url of the profile='h:1'"),
        (
            {},
            "[default]\nservices = mine\n[services mine]\npolly =\n  endpoint_url = https://h/p\n",
            r"endpoint_url of polly in \[services mine\]='https://h/p'",
        ),
    ],
)
async def test_a_wrong_endpoint_is_named_by_where_it_is_set(
    pool: vl.Pool,
    bare_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    file: str,
    named: str,
) -> None:
    profile(bare_environment, file)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    access = await in_region("us-east-1").access(pool)
    with pytest.raises(BadInput, match=named):
        await access.client("polly")


async def test_a_wrong_endpoint_of_a_service_that_is_not_used_is_no_matter(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING", "localhost:1")
    access = await in_region("us-east-1").access(pool)
    assert access.endpoint("bedrock-runtime") == "https://bedrock-runtime.us-east-1.amazonaws.com"


FILE = "[default]\nservices = local\nendpoint_url = https://all.file:1\n[services local]\npolly =\n  endpoint_url = https://polly.file:1\n"


@pytest.mark.parametrize(
    ("given_", "environment", "expected"),
    [
        ({"polly": "https://polly.given:1/", "": "https://all.given:1"}, {"AWS_ENDPOINT_URL_POLLY": "https://e:1"}, "https://polly.given:1"),
        ({"": "https://all.given:1"}, {"AWS_ENDPOINT_URL_POLLY": "https://e:1"}, "https://all.given:1"),
        ({}, {"AWS_ENDPOINT_URL_POLLY": "https://polly.env:1", "AWS_ENDPOINT_URL": "https://all.env:1"}, "https://polly.env:1"),
        ({}, {"AWS_ENDPOINT_URL": "https://all.env:1"}, "https://all.env:1"),
        ({}, {}, "https://polly.file:1"),
        ({}, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "https://e:1"}, "https://polly.us-east-1.amazonaws.com"),
    ],
)  # fmt: skip
async def test_the_endpoint_comes_from_argument_variables_file_and_region_in_this_order(
    pool: vl.Pool,
    bare_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    given_: dict[str, str],
    environment: dict[str, str],
    expected: str,
) -> None:
    profile(bare_environment, FILE)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    access = await in_region("us-east-1", endpoints=given_).access(pool)
    assert access.endpoint("polly") == expected
    client = await access.client("polly")
    assert client.meta.endpoint_url == expected


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("transcribestreaming", "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING"),
        ("bedrock-runtime", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        ("polly", "AWS_ENDPOINT_URL_POLLY"),
    ],
)
async def test_each_service_has_its_variable(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch, service: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "https://here:1")
    access = await in_region("us-east-1").access(pool)
    assert access.endpoint(service) == "https://here:1"
    assert [access.set_endpoint(other) for other in ("transcribestreaming", "bedrock-runtime", "polly")].count(
        None
    ) == 2


@pytest.mark.parametrize(
    ("service", "region", "expected"),
    [
        ("transcribestreaming", "us-east-1", "https://transcribestreaming.us-east-1.amazonaws.com"),
        ("transcribestreaming", "cn-north-1", "https://transcribestreaming.cn-north-1.amazonaws.com.cn"),
        ("transcribestreaming", "mx-central-1", "https://transcribestreaming.mx-central-1.amazonaws.com"),
        ("transcribestreaming", "us-gov-west-1", "https://transcribestreaming.us-gov-west-1.amazonaws.com"),
        ("bedrock-runtime", "eu-north-1", "https://bedrock-runtime.eu-north-1.amazonaws.com"),
        ("bedrock-runtime", "us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("polly", "cn-northwest-1", "https://polly.cn-northwest-1.amazonaws.com.cn"),
        ("polly", "us-new-7", "https://polly.us-new-7.amazonaws.com"),
        ("polly", "moon-base-1", "https://polly.moon-base-1.amazonaws.com"),
    ],
)
async def test_the_regions_own_endpoint_has_its_partitions_name(
    pool: vl.Pool, service: str, region: str, expected: str
) -> None:
    assert (await in_region(region).access(pool)).endpoint(service) == expected


@pytest.mark.parametrize(
    ("service", "region", "name", "elsewhere"),
    [
        ("transcribestreaming", "us-west-1", "Amazon Transcribe", "us-west-2"),
        ("transcribestreaming", "eu-north-1", "Amazon Transcribe", "eu-central-1"),
        ("polly", "cn-north-1", "Amazon Polly", "cn-northwest-1"),
        ("bedrock-runtime", "af-south-1", "Amazon Bedrock", "eu-west-1"),
    ],
)
async def test_a_service_that_a_region_lacks_is_said_with_the_regions_that_have_it(
    pool: vl.Pool, service: str, region: str, name: str, elsewhere: str
) -> None:
    access = await in_region(region).access(pool)
    with pytest.raises(ProviderRefused) as refused:
        access.endpoint(service)
    assert name in str(refused.value)
    assert region in str(refused.value)
    assert elsewhere in str(refused.value)
    assert "endpoints=" in refused.value.hint, "a way around a list that is too old"
    if service != "transcribestreaming":
        with pytest.raises(ProviderRefused):
            await access.client(service)


async def test_fips_endpoints_are_used_where_they_are_asked_for(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    access = await in_region("us-east-1").access(pool)
    assert access.endpoint("transcribestreaming") == "https://transcribestreaming-fips.us-east-1.amazonaws.com"
    assert access.endpoint("polly") == (await access.client("polly")).meta.endpoint_url


# ---- proxy and certificates


async def test_the_proxy_comes_from_argument_then_environment(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://env:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.internal")
    access = await in_region("us-east-1").access(pool)
    assert access.proxy("https://polly.us-east-1.amazonaws.com") == "http://env:3128"
    assert access.proxy("https://127.0.0.1:8443") is None
    assert access.proxy("https://vpce.internal") is None
    monkeypatch.setenv("HTTPS_PROXY", "plain:3128")
    assert access.proxy("https://polly.us-east-1.amazonaws.com") == "http://plain:3128"
    given_ = await in_region("us-east-1", proxy="http://given:3128").access(pool)
    assert given_.proxy("https://127.0.0.1:8443") == "http://given:3128"


async def test_without_any_proxy_there_is_none(pool: vl.Pool) -> None:
    assert (await in_region("us-east-1").access(pool)).proxy("https://polly.us-east-1.amazonaws.com") is None


@pytest.mark.parametrize("where", ["argument", "variable", "profile"])
async def test_certificates_come_from_argument_variable_or_profile(
    pool: vl.Pool, authority: Authority, bare_environment: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    elif where == "profile":
        profile(bare_environment, f"[default]\nca_bundle = {authority.file}\n")
    access = await in_region("us-east-1", ca_bundle=authority.file if where == "argument" else None).access(pool)
    context = await access.tls()
    (only,) = context.get_ca_certs()
    assert "trustme" in str(only["subject"])
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert await access.tls() is context


async def test_certificates_that_are_not_there_or_no_certificates_are_bad_input(
    pool: vl.Pool, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="AWS_CA_BUNDLE"):
        await in_region("us-east-1", ca_bundle=tmp_path / "gone.pem").access(pool)
    (tmp_path / "wrong.pem").write_text("no certificate")
    access = await in_region("us-east-1", ca_bundle=tmp_path / "wrong.pem").access(pool)
    with pytest.raises(BadInput, match="PEM"):
        await access.tls()


# ---- sharing, and what carries streams


async def test_a_pool_makes_an_account_ready_once(pool: vl.Pool) -> None:
    found: list[Access] = []

    async def find() -> None:
        found.append(await in_region("us-east-1").access(pool))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(find)
    assert len({id(access) for access in found}) == 1
    other = await Account("us-east-1", keys=Keys("AKIDEXAMPLE", "another")).access(pool)
    assert other is not found[0]
    assert (await other.credentials()).secret_key == "another"


async def test_streams_are_opened_by_the_accounts_own_wire(pool: vl.Pool) -> None:
    opened: list[tuple[StreamRequest, Access, Deadlines]] = []

    class Recording(Wire):
        def open(self, request: StreamRequest, access: Access, deadlines: Deadlines) -> EventStream:  # type: ignore[override]
            opened.append((request, access, deadlines))
            return "a stream"  # type: ignore[return-value]

    access = await in_region("us-east-1", wire=Recording()).access(pool)
    request = StreamRequest("polly", "polly", "StartSpeechSynthesisStream", "/v1/synthesisStream")
    assert access.stream(request) == "a stream"  # type: ignore[comparison-overlap]
    access.stream(request, Deadlines(connect=1.0))
    assert opened == [(request, access, Deadlines()), (request, access, Deadlines(connect=1.0))]
