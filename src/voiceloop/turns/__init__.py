"""Turn detection: when the user speaks, pauses and has finished."""
