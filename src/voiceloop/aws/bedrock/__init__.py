"""Amazon Bedrock: language models by ConverseStream."""

from voiceloop.aws.bedrock.reasoner import Bedrock
from voiceloop.aws.bedrock.request import Guardrail

__all__ = ("Bedrock", "Guardrail")
