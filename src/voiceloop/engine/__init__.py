"""The only place with tasks: what makes a session run."""
