"""Which operation of AWS a request is that no service here answers, by botocore's models, and its refusal."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from attrs import frozen
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader
from botocore.model import ServiceModel

from voiceloop.testing.aws.exchange import Refusal, form
from voiceloop.testing.aws.signatures import Head
from voiceloop.testing.aws.words import OPERATIONS_OF, Protocol

_SIGNED_AS = re.compile(r"Credential=[^/,\s]+/\d{8}/[^/,\s]+/(?P<name>[a-z0-9-]{1,63})/aws4_request")
_SEVERAL: Mapping[str, tuple[str, ...]] = {
    "bedrock": ("bedrock-runtime", "bedrock", "bedrock-agent-runtime", "bedrock-agent")
}
_STREAMS: Mapping[str, str] = {
    "/medical-stream-transcription": "StartMedicalStreamTranscription",
    "/call-analytics-stream-transcription": "StartCallAnalyticsStreamTranscription",
    "/medical-scribe-stream": "StartMedicalScribeStream",
}
"""Operations of Transcribe that botocore has no model of, by their paths."""
_STS = "2011-06-15"
_MOST = 100


@frozen
class Asked:
    """An operation of AWS: ``service`` by botocore's name, empty where it is not known, and how it is spoken to."""

    service: str
    operation: str
    protocol: Protocol = "rest-json"

    def refusal(self, services: Collection[str]) -> Refusal:
        """The error for an operation that is not among ``services``, by the code that its protocol has for that."""
        known = OPERATIONS_OF.get(self.service) if self.service in services else None
        named = f"{self.operation} of {self.service}" if self.service else self.operation
        words = f"The emulator does not know {named}; it knows {', '.join(known or sorted(services)) or 'nothing'}."
        match self.protocol:
            case "query" | "ec2":
                return Refusal(400, "InvalidAction", words)
            case "json":
                return Refusal(400, "UnknownOperationException", words)
            case "rest-xml":
                return Refusal(501, "NotImplemented", words)
            case _:
                return Refusal(404, "UnknownOperationException", words)


def identify(head: Head, body: bytes) -> Asked:
    """The operation that a request is meant for; it reads botocore's models from disk."""
    path = head.raw_path.removesuffix("-websocket")
    if path in _STREAMS:
        return Asked("transcribestreaming", _STREAMS[path])
    fields = form(dict(head.pairs), body) if head.path == "/" else {}
    signed = _signed_as(head)
    if not signed and fields.get("Version") == _STS:
        signed = "sts"  # AssumeRoleWithWebIdentity is not signed
    loader = Loader()
    names = [name for name in _SEVERAL.get(signed, (signed,)) if name]
    models = [model for model in (_model(loader, name) for name in names) if model is not None]
    for model in models:
        operation = _operation(model, head, fields)
        if operation is not None:
            return Asked(str(model.service_name), operation, _protocol(model))
    if models:
        return Asked(str(models[0].service_name), f"{head.method} {head.path}"[:_MOST], _protocol(models[0]))
    return Asked(signed, f"{head.method} {head.path}"[:_MOST])


def _signed_as(head: Head) -> str:
    """The service in the scope of a request's signature, empty where it has none."""
    authorization = head.fields.get("authorization", "")
    if authorization.lower().startswith("bearer "):
        return "bedrock"
    scope = dict(head.pairs).get("X-Amz-Credential")
    found = _SIGNED_AS.search(f"Credential={scope}" if scope else authorization)
    return found["name"] if found else ""


def _model(loader: Loader, name: str) -> ServiceModel | None:
    try:
        return ServiceModel(loader.load_service_model(name, "service-2"), name)
    except DataNotFoundError:
        return None


def _protocol(model: ServiceModel) -> Protocol:
    protocol = model.metadata.get("protocol")
    return protocol if protocol in ("json", "query", "rest-xml", "ec2") else "rest-json"


def _operation(model: ServiceModel, head: Head, fields: Mapping[str, str]) -> str | None:
    """The operation of ``model`` that a request is: named in a header, in a form, or by method and path."""
    named = head.fields.get("x-amz-target", "").rpartition(".")[2] or fields.get("Action", "")
    if named:
        return named if named in model.operation_names else None
    if _protocol(model) not in ("rest-json", "rest-xml"):
        return None
    fits = [name for name in model.operation_names if _fits(model.operation_model(name).http, head)]
    return max(fits, key=lambda name: len(model.operation_model(name).http["requestUri"]), default=None)


def _fits(http: Mapping[str, str], head: Head) -> bool:
    """Whether a request has the method and path of ``http``, such as ``POST /model/{modelId}/invoke``."""
    path = http["requestUri"].partition("?")[0]
    pattern = re.sub(r"\\\{[^}]+?(\\\+)?\\\}", lambda label: ".+" if label[1] else "[^/]+", re.escape(path))
    return http["method"] == head.method and re.fullmatch(pattern, head.raw_path) is not None


__all__ = ("Asked", "identify")
