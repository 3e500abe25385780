"""What ``import voiceloop`` costs: time with warm file caches, and modules."""

from __future__ import annotations

import statistics

from figures import Figure, main, start, told

_PROGRAM = """
import sys, time
before = set(sys.modules)
began = time.process_time()
import voiceloop
took = (time.process_time() - began) * 1000
print('{"ms": %f, "modules": %d, "numpy": %d}' % (took, len(set(sys.modules) - before), "numpy" in sys.modules))
"""


def measure(quick: bool) -> list[Figure]:
    """Processor time, because a core may be busy otherwise; the first run only warms up."""
    runs = [told(start("-c", _PROGRAM)) for _ in range(4 if quick else 9)][1:]
    return [
        Figure("import voiceloop: time, warm", "ms", statistics.median(run["ms"] for run in runs), most=100),
        Figure("import voiceloop: modules", "loaded", runs[0]["modules"], most=300),
        Figure("import voiceloop: loads numpy", "0 or 1", runs[0]["numpy"], most=0),
    ]


if __name__ == "__main__":
    main("startup", measure)
