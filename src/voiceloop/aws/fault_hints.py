"""What the map of failures says to do: IAM actions, quotas, console pages, variables and commands.

Sources: IAM service authorization reference, the services' quota pages, AWS SDKs and Tools reference guide.
"""

from __future__ import annotations

TRANSCRIBE, BEDROCK, POLLY = "transcribestreaming", "bedrock-runtime", "polly"
NOVA = "InvokeModelWithBidirectionalStream"
POLLY_STREAM = "StartSpeechSynthesisStream"

PROVIDERS = {TRANSCRIBE: "Amazon Transcribe", BEDROCK: "Amazon Bedrock", POLLY: "Amazon Polly"}
SIGNING_NAMES = {TRANSCRIBE: "transcribe", BEDROCK: "bedrock", POLLY: "polly"}

_MODEL_RESOURCE = (
    "arn:aws:bedrock:*::foundation-model/<model>, and for an inference profile also "
    "arn:aws:bedrock:<region>:<account>:inference-profile/<profile>"
)
# The IAM action and resource of an operation, where the action is not "<signing name>:<operation>" on "*".
ACTIONS = {
    "Converse": ("bedrock:InvokeModel", _MODEL_RESOURCE),
    "ConverseStream": ("bedrock:InvokeModelWithResponseStream", _MODEL_RESOURCE),
    NOVA: ("bedrock:InvokeModel", _MODEL_RESOURCE),
    "CountTokens": ("bedrock:CountTokens", "arn:aws:bedrock:*::foundation-model/<model>"),
    "ApplyGuardrail": ("bedrock:ApplyGuardrail", "arn:aws:bedrock:<region>:<account>:guardrail/<id>"),
}
QUOTAS = {
    "StartStreamTranscription": "concurrent HTTP/2 streams (25 by default), and StartStreamTranscription per second",
    "StartStreamTranscriptionWebSocket": "concurrent WebSocket streams (25 by default)",
    "Converse": "on-demand requests and tokens per minute of the model",
    "ConverseStream": "on-demand requests and tokens per minute of the model",
    NOVA: "concurrent speech-to-speech streams (20 by default)",
    "SynthesizeSpeech": (
        "SynthesizeSpeech transactions per second and concurrent requests of the voice's engine (neural: 8 a second, "
        "18 at once)"
    ),
    POLLY_STREAM: "StartSpeechSynthesisStream transactions per second and concurrent streams",
    "DescribeVoices": "DescribeVoices transactions per second (80 by default)",
}

SIGN_IN = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary keys) or AWS_PROFILE, run "
    "`aws configure` or `aws sso login`, give Account(keys=...), or attach a role to the instance, task or function."
)
EXPIRED = (
    "Fetch new temporary credentials (`aws sso login`, `aws login` or STS) and set AWS_SESSION_TOKEN with its keys. "
    "{clock}"
)
CLOCK_OR_KEY = "{clock_or_key}"
CLOCK = "{clock}"
SSO = "Run `aws sso login` (or `aws login`), with --profile or AWS_PROFILE if it is not the default profile."
DENIED = "Allow {action} on {resource} for {identity}: IAM console > Roles or Users > Add permissions."
CATALOG = (
    "Open the Amazon Bedrock console > Model catalog (Model access in older accounts) and enable the model in this "
    "region; allow {action} on {resource}."
)
USE_CASE = "Submit the Anthropic use case form: Amazon Bedrock console > Model catalog > the model."
PROFILES = (
    "Amazon Bedrock console > Inference profiles lists the ids of this region; they begin with `us.`, `eu.`, "
    "`apac.`, `jp.`, `au.` or `global.`."
)
MORE = "It is a quota: {quota}. Raise it in the Service Quotas console > AWS services > {service}."
REACH = (
    "Check the network, HTTPS_PROXY and NO_PROXY, AWS_ENDPOINT_URL, and a VPC endpoint if there is no way out; the "
    "region may lack the service."
)
PROXY = "The answer is not AWS's: check HTTPS_PROXY and NO_PROXY, or the proxy itself."
CERTIFICATE = (
    "Set AWS_CA_BUNDLE, or Account(ca_bundle=...), to the PEM file of the authority that signed it; if it has "
    "expired or is not valid yet, check the clock of this machine."
)
WAIT = "Try again a little later."
SILENCE = "Audio must reach the service all the time: is the microphone muted? Send silence while it is."
