"""Stacks to begin with: what an assistant runs on, by name, with what the environment says.

``local()`` needs the extra ``local`` and nothing else; ``server()`` a model server beside it; ``aws()`` and
``nova()`` an AWS account; ``emulated()`` runs both on this machine, without one.
"""

from voiceloop.presets.amazon import aws, nova
from voiceloop.presets.emulation import FIRST_TOKEN, POLLY, emulated
from voiceloop.presets.environment import usual
from voiceloop.presets.offline import ASSISTANT, local, server
from voiceloop.presets.stack import REGION, Stack, Voice, with_keys_only

__all__ = (
    "ASSISTANT",
    "FIRST_TOKEN",
    "POLLY",
    "REGION",
    "Stack",
    "Voice",
    "aws",
    "emulated",
    "local",
    "nova",
    "server",
    "usual",
    "with_keys_only",
)
