"""Those who take part in a measurement; each module is a program, run in a process of its own."""
