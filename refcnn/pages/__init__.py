"""What pages for people share: one base, one stylesheet, and how they are written so that they need nothing else."""
