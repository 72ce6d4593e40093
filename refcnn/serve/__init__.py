"""A page on this machine in which people see what a network makes of their own images, while they draw."""
