"""``voiceloop serve``: a page to talk on, and its server."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import anyio
import anyio.to_thread

from voiceloop import presets
from voiceloop.cli.environment import settle_region
from voiceloop.engine.supervisor import bare
from voiceloop.errors import BadInput, MissingExtra
from voiceloop.presets.installed import EMULATOR, ENGINES, need

_WEB = ("starlette", "uvicorn", "websockets")

EXAMPLES = """examples:
  voiceloop serve                        talk to the offline assistant, in your browser
  voiceloop serve --on server            ... to a language model of Ollama, llama.cpp, LM Studio or vLLM
  voiceloop serve --on nova              ... to Amazon Nova Sonic, in your own AWS account
  voiceloop serve --on aws --emulator    ... to Transcribe, Bedrock and Polly, emulated on this machine
  voiceloop serve --host 0.0.0.0 --make-cert certs   for phones on the local network, by https
  VOICELOOP_SECRET=... voiceloop serve --host 0.0.0.0 --cert cert.pem --key key.pem   with a password
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "A page to talk on, with a face, and the server behind it. By default the assistant runs on this machine,\n"
        "with no account and no network: a small rules bot. Listens on this machine alone, unless --host says more."
    )
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--on",
        choices=("local", "server", "aws", "nova"),
        help="what the assistant runs on (local; server with --llm; aws with --emulator; nova by USE_NOVA_SONIC)",
    )
    parser.add_argument("--llm", metavar="URL", help="the model server (OPENAI_BASE_URL, else one on this machine)")
    parser.add_argument("--llm-model", metavar="NAME", help="its model (OPENAI_MODEL, else the first that it has)")
    parser.add_argument("--emulator", action="store_true", help="AWS's services emulated here, no account needed")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="the port; 0: any that is free (8080)")
    parser.add_argument("--no-open", action="store_true", help="do not open the page")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="a certificate, for https; with --key")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the certificate's private key")
    parser.add_argument("--make-cert", type=Path, metavar="DIR", help="make both in a folder, unless they are there")
    parser.add_argument("--origin", action="append", default=[], metavar="URL", help="another page that may connect")
    parser.add_argument("--name", action="append", default=[], metavar="HOST", help="another name of this server")
    parser.add_argument("--sessions", type=int, default=100, metavar="N", help="conversations at once (100)")
    parser.add_argument(
        "--drain", type=float, default=30.0, metavar="S", help="seconds they may go on at the end (30)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM. Raises VoiceloopError."""
    if (args.cert is None) != (args.key is None):
        raise BadInput("--cert and --key go together")
    if args.make_cert is not None:
        if args.cert is not None:
            raise BadInput("--make-cert and --cert are two ways to the same: give one")
        from voiceloop.cli.certificates import make_certificate, shortcoming

        names = (*addresses(args.host), *args.name)
        args.cert, args.key = make_certificate(args.make_cert, names)
        if lacks := shortcoming(args.cert, names):
            hint = f"Delete {args.make_cert} to have one made anew, which devices have to trust anew."
            print(f"{args.cert} {lacks}: browsers will warn. {hint}", file=sys.stderr)
    args.on = args.on or ("aws" if args.emulator else "server" if args.llm else presets.usual())
    if args.on in ("aws", "nova") and not args.emulator and (region := settle_region()):
        print(f"No AWS region is set: {region} is used. Set AWS_REGION for another.", file=sys.stderr)
    try:
        asyncio.run(_serve(args))
    except BaseExceptionGroup as failure:
        raise bare(failure) from None
    return 0


async def _serve(args: argparse.Namespace) -> None:
    engines = ENGINES if args.emulator or args.on in ("local", "server") else ()
    need("it", *_WEB, *engines, *(EMULATOR if args.emulator else ()), extra="demo" if engines else "web")
    from voiceloop.transports.web import LobbyLimits, create_app, serve

    secret = os.environ.get("VOICELOOP_SECRET") or None
    server = await model_server(args.llm, args.llm_model, wanted=args.on == "server")
    async with stacks(args.on, emulator=args.emulator, server=server) as offered, anyio.create_task_group() as group:
        app = create_app(
            offered,
            secret=secret,
            origins=args.origin,
            hosts={"localhost", args.host, *args.name, *(() if _is_loopback(args.host) else _own_names())},
            limits=LobbyLimits(sessions=args.sessions, drain=args.drain),
        )

        def ready(url: str) -> None:
            _tell(url, offered, args, secret)
            if not args.no_open:
                open_page = partial(anyio.to_thread.run_sync, webbrowser.open, url, abandon_on_cancel=True)
                group.start_soon(open_page)

        await serve(app, host=args.host, port=args.port, cert=args.cert, key=args.key, on_ready=ready)
        group.cancel_scope.cancel()


@asynccontextmanager
async def stacks(
    on: str, *, emulator: bool = False, server: presets.Stack | None = None
) -> AsyncIterator[tuple[presets.Stack, ...]]:
    """What the page offers, what was asked for first; ``server`` is that of a model server, if there is one.

    On AWS only with ``on``, the emulator, or keys that the user brings: nobody talks on the server's account unless
    the server was told to.
    """
    here = (*_local(wanted=on == "local" or emulator), *([server] if server is not None else ()))
    if emulator:
        async with presets.emulated("aws", "nova") as emulated:
            yield _first(on, (*here, *emulated))
    elif on in ("local", "server"):
        yield _first(on, (*here, *presets.with_keys_only((presets.aws(), presets.nova()))))
    else:
        yield _first(on, (presets.aws(), presets.nova(), *here))


def _local(*, wanted: bool) -> tuple[presets.Stack, ...]:
    """The offline stack; none where it is not ``wanted`` and not installed."""
    try:
        return (presets.local(),)
    except MissingExtra:
        if wanted:
            raise
        return ()


async def model_server(url: str | None, model: str | None, *, wanted: bool) -> presets.Stack | None:
    """What runs on a model server: that at ``url``, else one that answers on this machine, which is looked for.

    ``wanted``: that of the environment goes before, and one that does not answer yet is better than none.
    """
    from voiceloop.openai import find_server

    own = os.environ.get("OPENAI_BASE_URL")
    if url is not None or (wanted and own):
        return presets.server(url=url, model=model)
    found = await find_server() if wanted or all(map(find_spec, ENGINES)) else None
    if found is not None:
        # What is set for another server, such as the model of a cloud, says nothing of the one that was found.
        return presets.server(url=found, model=model, environ=os.environ if own else {})
    if not wanted:
        return None
    stack = presets.server(model=model)
    if stack.free:
        print("No model server answers on this machine yet.", file=sys.stderr)
    return stack


def _first(name: str, offered: tuple[presets.Stack, ...]) -> tuple[presets.Stack, ...]:
    return tuple(sorted(offered, key=lambda stack: stack.name != name))


def _tell(url: str, offered: Sequence[presets.Stack], args: argparse.Namespace, secret: str | None) -> None:
    stack = offered[0]
    print(f"Talk at {url}  Ctrl-C stops.", flush=True)
    print(stack.about, flush=True)
    if stack.name == "local" and any(each.name == "server" for each in offered):
        print("A model server answers on this machine: choose it on the page, or --on server.", flush=True)
    elif stack.name == "local":
        print("To talk to a language model: voiceloop serve --on server, --on nova, or --on aws.", flush=True)
    if not _is_loopback(args.host):
        port = url.rstrip("/").rpartition(":")[2]
        for address in addresses(args.host):
            print(f"From other devices: http{'s' if args.cert else ''}://{address}:{port}/", flush=True)
        if args.cert is None:
            print("Browsers give no microphone to pages without https: add --make-cert certs.", file=sys.stderr)
        if secret is None:
            print("Everybody who can reach this machine can use it: set VOICELOOP_SECRET.", file=sys.stderr)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_names() -> tuple[str, ...]:
    name = socket.gethostname().lower()
    return name, f"{name.partition('.')[0]}.local"


def addresses(host: str) -> tuple[str, ...]:
    """The addresses by which other devices reach a server that is bound to ``host``."""
    if host not in ("0.0.0.0", "::", ""):
        return () if _is_loopback(host) else (host,)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which way packets would go
        except OSError:
            return ()
        address: str = probe.getsockname()[0]
    return (address,)
