"""Those who take part in a measurement; each runs in a process of its own."""
