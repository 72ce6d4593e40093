"""The list of faults of released implementations: each from its data, replayed where it was found, and shown."""
