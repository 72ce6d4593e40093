"""Training in a folder of its own: its data, checkpoints, report and pictures, and predicting with what came of it."""
