"""Cases and faults in files and folders, which others can read."""
