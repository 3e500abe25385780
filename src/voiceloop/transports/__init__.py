"""Ways to a session: adapters between what a user has (a sound card, ...) and the calls of ``Session``."""
