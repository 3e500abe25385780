"""The embedded default: recognizer, reasoner and synthesizer without an account or a download."""
