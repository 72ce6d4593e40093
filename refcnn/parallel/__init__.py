"""Several processes that work together, the ranks of MPI: who they are, what each computes with, what they exchange."""
