"""How many conversations each property holds: few by default, many with VOICELOOP_PROPERTIES=thorough."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile(
    "ci",
    deadline=None,
    max_examples=60,
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate),  # making a failing conversation small takes minutes: do that thoroughly
    suppress_health_check=_QUIET,
)
settings.register_profile("thorough", deadline=None, max_examples=1000, suppress_health_check=_QUIET)
PROFILE = settings.get_profile(os.environ.get("VOICELOOP_PROPERTIES", "ci"))
