"""What to draw for a case, and how far a correct float32 result may be from the exact one."""
