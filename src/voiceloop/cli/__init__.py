"""The command line: ``voiceloop demo``, ``talk``."""
