"""voiceloop: hold a spoken conversation from any Python service."""
