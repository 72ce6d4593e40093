"""What several operations launch alike."""
