"""The dialogues that come with voiceloop, and the tools that they call."""
