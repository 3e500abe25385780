"""Every place that boto finds credentials in, against files of the test's own and servers on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha1
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import anyio
import botocore.credentials
import pytest
from attrs import evolve

import voiceloop as vl
from voiceloop.aws import Bedrock, NovaSonic, Polly, Transcribe
from voiceloop.aws.account import Access, Account, Credentials, Keys
from voiceloop.aws.faults import fault_of
from voiceloop.errors import ProviderError, ProviderRefused, ProviderTimeout, ProviderUnavailable
from voiceloop.testing.aws import Backing, Emulator

from .web import Asked, Authority, Told, tunnel, web

pytestmark = pytest.mark.usefixtures("bare_environment")

HOUR = timedelta(hours=1)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def find(pool: vl.Pool, **settings: str) -> Credentials:
    return await (await Account("us-east-1", **settings).access(pool)).credentials()  # type: ignore[arg-type]


def about(expires: datetime | None, expected: datetime) -> bool:
    return expires is not None and abs(expires - expected) < timedelta(seconds=5)


async def test_keys_given_by_hand(pool: vl.Pool) -> None:
    expires = datetime(2040, 1, 1, tzinfo=UTC)
    access = await Account("us-east-1", keys=Keys("AKID", "secret", "token", expires)).access(pool)
    assert await access.credentials() == Credentials("AKID", "secret", "token", expires)


@pytest.mark.parametrize("name", ["cascade", "nova"])
async def test_keys_that_have_expired_are_refused_before_any_request(name: str) -> None:
    async with Emulator(Backing.scripted(replies=["Fine."])) as aws:
        keys = aws.issue(seconds=1)
        past = Keys(keys.access_key, keys.secret_key, keys.session_token, datetime.now(UTC) - timedelta(seconds=1))
        account = evolve(aws.account(), keys=past)
        model = vl.Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))
        with pytest.raises(ProviderRefused, match=r"keys expired at .* UTC"):
            async with vl.Session(NovaSonic(account=account) if name == "nova" else model):
                pass
        assert not aws.calls


async def test_the_environment(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert await find(pool) == Credentials("AKID", "secret", "token")


async def test_the_environment_with_an_expiry(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    expires = datetime.now(UTC) + 3 * HOUR
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", stamp(expires))
    assert about((await find(pool)).expires, expires)


async def test_half_of_it_in_the_environment_names_what_is_missing(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDHALF")
    with pytest.raises(ProviderRefused, match="AWS_SECRET_ACCESS_KEY") as refused:
        await find(pool)
    assert "AKIDHALF" not in f"{refused.value} {refused.value.__cause__!r}"


async def test_none_at_all_names_the_variables_and_commands(pool: vl.Pool) -> None:
    with pytest.raises(ProviderRefused) as refused:
        await find(pool)
    for words in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "aws configure", "aws sso login", "Account(keys=...)"):
        assert words in refused.value.hint
    assert not refused.value.retryable
    assert fault_of(refused.value) is not None


async def test_profiles_of_the_shared_files(
    pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare_environment / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = one\n"
        "[work]\naws_access_key_id = WORK\naws_secret_access_key = two\naws_session_token = three\n"
    )
    assert await find(pool) == Credentials("DEFAULT", "one")
    assert await find(pool, profile="work") == Credentials("WORK", "two", "three")
    monkeypatch.setenv("AWS_PROFILE", "work")
    async with vl.Pool() as later:
        assert await find(later) == Credentials("WORK", "two", "three")


def process(folder: Path, script: str) -> None:
    """Let the default profile run ``script``."""
    (folder / "give.py").write_text(script)
    (folder / "config").write_text(f"[default]\ncredential_process = {sys.executable} {folder / 'give.py'}\n")


async def test_a_credential_process(pool: vl.Pool, bare_environment: Path) -> None:
    expires = datetime.now(UTC) + HOUR
    given = {"Version": 1, "AccessKeyId": "PROC", "SecretAccessKey": "s", "SessionToken": "t"}
    process(bare_environment, f"print({json.dumps(given | {'Expiration': stamp(expires)})!r})")
    found = await find(pool)
    assert (found.access_key, found.secret_key, found.token) == ("PROC", "s", "t")
    assert about(found.expires, expires)


async def test_a_credential_process_that_fails_is_named(pool: vl.Pool, bare_environment: Path) -> None:
    process(bare_environment, "import sys; sys.exit('the vault is locked')")
    with pytest.raises(ProviderRefused, match="the vault is locked") as refused:
        await find(pool)
    assert "credential_process" in refused.value.hint


async def test_a_credential_process_that_prints_nonsense_shows_none_of_it(
    pool: vl.Pool, bare_environment: Path
) -> None:
    process(bare_environment, 'print(\'{"SecretAccessKey": "hush-hush" oops\')')
    with pytest.raises(ProviderError) as refused:
        await find(pool)
    error: BaseException | None = refused.value
    while error is not None:
        assert "hush" not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__


async def test_a_credential_process_that_hangs_meets_a_deadline(
    pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceloop.aws.account.CREDENTIALS_DEADLINE", 0.75)
    running = bare_environment / "running"
    (bare_environment / "give.sh").write_text(f"echo $$ > {running}\nexec sleep 60\n")
    (bare_environment / "config").write_text(f"[default]\ncredential_process = sh {bare_environment / 'give.sh'}\n")
    with pytest.raises(ProviderTimeout, match=r"no credentials after 0\.75 s"):
        await find(pool)
    with pytest.raises(ProcessLookupError):
        os.kill(int(running.read_text()), 0)


async def test_those_who_wait_for_credentials_do_not_wait_one_after_the_other(
    pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceloop.aws.account.CREDENTIALS_DEADLINE", 0.5)
    process(bare_environment, "import time; time.sleep(60)")
    access = await Account("us-east-1").access(pool)

    async def ask() -> None:
        with pytest.raises(ProviderTimeout, match=r"no credentials after 0\.5 s"):
            await access.credentials()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)


def container(expires: datetime) -> Callable[[Asked], Told]:
    def answer(asked: Asked) -> Told:
        if asked.headers.get("authorization") != "let-me-in":
            return Told(401)
        given = {"AccessKeyId": "TASK", "SecretAccessKey": "s", "Token": "t", "Expiration": stamp(expires)}
        return Told(body=json.dumps(given).encode())

    return answer


async def test_a_containers_role(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    expires = datetime.now(UTC) + 6 * HOUR
    async with web(container(expires)) as served:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{served.url}/v2/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me-in")
        found = await find(pool)
    assert (found.access_key, found.token) == ("TASK", "t")
    assert about(found.expires, expires)
    assert [asked.path for asked in served.asked] == ["/v2/credentials"]


async def test_a_container_that_answers_no_is_said(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web(lambda asked: Told(403, b"no")) as served:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{served.url}/v2/credentials")
        monkeypatch.setattr("aiobotocore.utils.AioContainerMetadataFetcher.SLEEP_TIME", 0)
        with pytest.raises((ProviderRefused, ProviderUnavailable), match="AWS_ACCESS_KEY_ID"):
            await find(pool)


async def test_an_instances_role(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    expires = datetime.now(UTC) + 6 * HOUR
    given = {
        "Code": "Success",
        "AccessKeyId": "EC2",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": stamp(expires),
    }

    def answer(asked: Asked) -> Told:
        if asked.method == "PUT" and asked.path == "/latest/api/token":
            return Told(body=b"imds-token")
        if asked.headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return Told(401)
        return Told(body=b"web-role" if asked.path.endswith("security-credentials/") else json.dumps(given).encode())

    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    async with web(answer) as served:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", served.url)
        found = await find(pool)
    assert (found.access_key, found.token) == ("EC2", "t")
    assert about(found.expires, expires)


def sts(asked_for: list[dict[str, list[str]]], expires: datetime) -> Callable[[Asked], Told]:
    """A token service: the first set of keys is STS1, the second STS2."""

    def answer(asked: Asked) -> Told:
        asked_for.append(parse_qs(asked.body.decode()))
        action = asked_for[-1]["Action"][0]
        body = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
            f"<AccessKeyId>STS{len(asked_for)}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{stamp(expires)}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>i:s</AssumedRoleId>"
            f"</AssumedRoleUser></{action}Result></{action}Response>"
        )
        return Told(body=body.encode(), headers={"content-type": "text/xml"})

    return answer


ROLE = "arn:aws:iam::111122223333:role/voice"


async def test_an_assumed_role(pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expires = datetime.now(UTC) + HOUR
    (bare_environment / "config").write_text(f"[profile voice]\nrole_arn = {ROLE}\nsource_profile = base\n")
    (bare_environment / "credentials").write_text("[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n")
    asked_for: list[dict[str, list[str]]] = []
    async with web(sts(asked_for, expires)) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", served.url)
        found = await find(pool, profile="voice")
    assert (found.access_key, found.token) == ("STS1", "t")
    assert about(found.expires, expires)
    assert asked_for[0]["Action"] == ["AssumeRole"]
    assert asked_for[0]["RoleArn"] == [ROLE]


async def test_a_web_identity(pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare_environment / "token").write_text("who-i-am")
    asked_for: list[dict[str, list[str]]] = []
    async with web(sts(asked_for, datetime.now(UTC) + HOUR)) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", served.url)
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare_environment / "token"))
        found = await find(pool)
    assert found.access_key == "STS1"
    assert asked_for[0]["Action"] == ["AssumeRoleWithWebIdentity"]
    assert asked_for[0]["WebIdentityToken"] == ["who-i-am"]


@pytest.mark.parametrize("way", ["direct", "proxy"])
async def test_a_token_service_is_only_trusted_with_a_certificate_for_its_host(
    pool: vl.Pool,
    bare_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    way: str,
) -> None:
    (bare_environment / "token").write_text("who-i-am")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bare_environment / "token"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    asked_for: list[dict[str, list[str]]] = []
    answer = sts(asked_for, datetime.now(UTC) + HOUR)
    async with (
        tunnel() as (proxy, tunnels),
        web(answer, authority.elsewhere) as wrong,
        web(answer, authority.server) as right,
    ):
        if way == "proxy":
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wrong.url)
        with pytest.raises(ProviderUnavailable, match="AWS_CA_BUNDLE"):
            await find(pool)
        assert asked_for == [], "it never saw the token"
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", right.url)
        async with vl.Pool() as later:
            assert (await find(later)).access_key == "STS1"
        assert bool(tunnels) is (way == "proxy")


async def test_a_role_that_may_not_be_assumed_is_said(
    pool: vl.Pool, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare_environment / "config").write_text(f"[profile voice]\nrole_arn = {ROLE}\nsource_profile = base\n")
    (bare_environment / "credentials").write_text("[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n")
    denied = (
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/bob is not authorized to "
        b"perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/voice</Message></Error>"
        b"<RequestId>r-9</RequestId></ErrorResponse>"
    )
    async with web(lambda asked: Told(403, denied, {"content-type": "text/xml"})) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", served.url)
        with pytest.raises(ProviderRefused) as refused:
            await find(pool, profile="voice")
    assert f"sts:AssumeRole on {ROLE}" in refused.value.hint


# ---- single sign-on: boto looks for its tokens in the home directory as it was when it was imported

SSO_CONFIG = (
    "[profile people]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Voice\n"
    "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n"
)
SSO_PROGRAM = """
import asyncio, voiceloop as vl
from voiceloop.aws import Account
from voiceloop.errors import ProviderRefused
async def main():
    async with vl.Pool() as pool:
        access = await Account("us-east-1", profile="people").access(pool)
        try:
            found = await access.credentials()
            print(found.access_key, found.token, found.expires is not None)
        except ProviderRefused as refused:
            print(refused.hint)
asyncio.run(main())
"""


async def single_sign_on(home: Path, url: str) -> str:
    (home / "config").write_text(SSO_CONFIG)
    environment = {**os.environ, "AWS_ENDPOINT_URL_SSO": url, "PYTHONWARNINGS": "error"}
    program = await anyio.run_process([sys.executable, "-c", SSO_PROGRAM], env=environment, stderr=subprocess.STDOUT)
    return program.stdout.decode().strip()


async def test_single_sign_on(bare_environment: Path) -> None:
    expires = datetime.now(UTC) + HOUR
    cache = bare_environment / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = sha1(b"corp", usedforsecurity=False).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps({"accessToken": "signed-in", "expiresAt": stamp(expires)}))

    def answer(asked: Asked) -> Told:
        if asked.headers.get("x-amz-sso_bearer_token") != "signed-in":
            return Told(401, b"{}", {"x-amzn-ErrorType": "UnauthorizedException"})
        ends = int(expires.timestamp() * 1000)
        given = {"accessKeyId": "SSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": ends}
        return Told(body=json.dumps({"roleCredentials": given}).encode())

    async with web(answer) as served:
        assert await single_sign_on(bare_environment, served.url) == "SSO t True"
    assert served.asked[0].path.startswith("/federation/credentials?")


async def test_single_sign_on_without_a_token_says_which_command_helps(bare_environment: Path) -> None:
    assert "aws sso login" in await single_sign_on(bare_environment, "http://127.0.0.1:1")


# ---- refresh


@asynccontextmanager
async def container_account(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Asked], Told]):  # type: ignore[no-untyped-def]
    async with web(answer) as served:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{served.url}/v2/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me-in")
        monkeypatch.setenv("AWS_ENDPOINT_URL_POLLY", served.url)
        access: Access = await Account("us-east-1").access(pool)
        yield served, access


def let_pass(monkeypatch: pytest.MonkeyPatch, passed: timedelta) -> None:
    """Let that much time pass for botocore."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + passed

    monkeypatch.setattr(botocore.credentials, "datetime", SimpleNamespace(datetime=Later))


async def test_credentials_are_kept_while_they_last_and_refreshed_before_they_end(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    given = 0

    def answer(asked: Asked) -> Told:
        nonlocal given
        given += 1
        body = {
            "AccessKeyId": f"KEY{given}",
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": stamp(now + given * HOUR),
        }
        return Told(body=json.dumps(body).encode())

    async with container_account(pool, monkeypatch, answer) as (served, access):
        first = await access.credentials()
        assert (first.access_key, len(served.asked)) == ("KEY1", 1)
        assert (await access.credentials()).access_key == "KEY1"
        assert len(served.asked) == 1
        let_pass(monkeypatch, timedelta(minutes=52))
        second = await access.credentials()
        assert second.access_key == "KEY2"
        assert first.access_key == "KEY1", "what a stream was opened with stays as it was"


async def test_many_at_once_ask_once(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with container_account(pool, monkeypatch, container(datetime.now(UTC) + HOUR)) as (served, access):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(access.credentials)
        assert len(served.asked) == 1


async def test_a_refresh_that_fails_keeps_what_is_still_good(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    answers = [container(now + HOUR)]
    monkeypatch.setattr("aiobotocore.utils.AioContainerMetadataFetcher.SLEEP_TIME", 0)
    async with container_account(pool, monkeypatch, lambda asked: answers[-1](asked)) as (_, access):
        assert (await access.credentials()).access_key == "TASK"
        answers.append(lambda asked: Told(500, b"down"))
        let_pass(monkeypatch, timedelta(minutes=48))
        assert (await access.credentials()).access_key == "TASK"


async def test_clients_sign_with_what_the_chain_gives(pool: vl.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    task = container(datetime.now(UTC) + HOUR)

    def answer(asked: Asked) -> Told:
        return Told(body=b'{"Voices":[]}') if asked.path == "/v1/voices" else task(asked)

    async with container_account(pool, monkeypatch, answer) as (served, access):
        client = await access.client("polly")
        await client.describe_voices()
    last = served.asked[-1]
    assert "Credential=TASK/" in last.headers["authorization"]
    assert last.headers["x-amz-security-token"] == "t"
