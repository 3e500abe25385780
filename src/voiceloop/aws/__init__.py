"""Amazon Transcribe, Bedrock, Polly and Nova Sonic as parts of a conversation."""
