"""The conformance run: which cases, in which processes, and what came of them."""
