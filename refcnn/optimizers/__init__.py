"""The optimizers: for each its class, which is the card of the update operation of the same name."""
