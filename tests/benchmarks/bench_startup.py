"""What ``import voiceloop`` costs, and with it all that a session needs: time with warm file caches, and modules."""

from __future__ import annotations

import statistics

from figures import Figure, main, start, told

_PROGRAM = """
import sys, time
before = set(sys.modules)
began = time.process_time()
import voiceloop
if sys.argv[1:]:
    from voiceloop import Cascade, Session
took = (time.process_time() - began) * 1000
print('{"ms": %f, "modules": %d, "numpy": %d}' % (took, len(set(sys.modules) - before), "numpy" in sys.modules))
"""


def measure(quick: bool) -> list[Figure]:
    """Processor time, because a core may be busy otherwise; the first run only warms up."""
    figures = []
    for what, arguments in (("import voiceloop", ()), ("... and Session and Cascade", ("all",))):
        runs = [told(start("-c", _PROGRAM, *arguments)) for _ in range(4 if quick else 9)][1:]
        figures += [
            Figure(f"{what}: time, warm", "ms", statistics.median(run["ms"] for run in runs), most=100),
            Figure(f"{what}: modules", "loaded", runs[0]["modules"], most=300),
            Figure(f"{what}: loads numpy", "0 or 1", runs[0]["numpy"], most=0),
        ]
    return figures


if __name__ == "__main__":
    main("startup", measure)
