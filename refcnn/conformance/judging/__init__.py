"""The verdict on what was computed, by an operation alone or with others after it."""
