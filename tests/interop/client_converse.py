# /// script
# requires-python = ">=3.12"
# dependencies = ["aws-sdk-bedrock-runtime==0.12.0", "awscrt==0.38.1"]
# [tool.interop]
# operations = ["Converse", "ConverseStream"]
# ///
"""Replies of Amazon Bedrock, whole and streamed, by AWS's own SDK for Python."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from aws_sdk_bedrock_runtime.client import AsyncBedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import AsyncBedrockRuntimeConfig
from aws_sdk_bedrock_runtime.models import ContentBlockText, ConverseInput, ConverseStreamInput, Message
from awscrt import io as crt_io
from smithy_http.aio.crt import AWSCRTHTTPClient

MODEL = "us.amazon.nova-lite-v1:0"


class TrustingTransport(AWSCRTHTTPClient):
    """The SDK's transport takes no certificates: hand it the emulator's."""

    def __init__(self) -> None:
        super().__init__()
        options = crt_io.TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])
        self._tls_ctx = crt_io.ClientTlsContext(options)

    def __deepcopy__(self, memo: Any) -> TrustingTransport:
        return self


async def streamed(client: AsyncBedrockRuntimeClient, messages: list[Message]) -> tuple[str, list[str]]:
    """The text, and the names of all events."""
    stream = await client.converse_stream(ConverseStreamInput(model_id=MODEL, messages=messages))
    text, names = "", []
    async for event in stream.output_stream:
        names.append(type(event).__name__.removeprefix("ConverseStreamOutput"))
        if names[-1] == "ContentBlockDelta":
            text += event.value.delta.value
    return text, names


async def main() -> None:
    client = AsyncBedrockRuntimeClient(await AsyncBedrockRuntimeConfig.resolve(transport=TrustingTransport()))
    messages = [Message(role="user", content=[ContentBlockText(value="book a room")])]
    whole = await asyncio.wait_for(client.converse(ConverseInput(model_id=MODEL, messages=messages)), 30)
    text, names = await asyncio.wait_for(streamed(client, messages), 30)
    print(whole.output.value.content[0].value, text, names, sep="\n")
    assert whole.output.value.content[0].value
    assert text
    assert names[0] == "MessageStart", names
    assert names[-2:] == ["MessageStop", "Metadata"], names


asyncio.run(main())
