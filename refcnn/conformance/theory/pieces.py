"""Where operations are linear: what :func:`~refcnn.conformance.operations.may_flip` says of many of them."""

import numpy as np


def linear(inputs, errors, attributes):
    """Nowhere may the slope of what is linear in all its inputs together be another."""
    return 0


def linear_in_one(inputs, errors, attributes):
    """A product is linear as long as one of its factors alone may be off."""
    return 0 if sum(error is not None for error in errors) <= 1 else None


def linear_in_first(inputs, errors, attributes):
    """A quotient, say, is linear in its first input, where no other may be off."""
    return 0 if all(error is None for error in errors[1:]) else None


def turns_at(*turns):
    """Return the ``may_flip`` of a function of one number whose slope changes at some."""

    def may_flip(inputs, errors, attributes):
        """How many numbers are as near to a turn as they may be off."""
        if errors[0] is None:
            return 0
        near = [(np.abs(inputs[0] - turn) <= errors[0]) & (errors[0] > 0) for turn in turns]
        return int(np.count_nonzero(np.any(near, axis=0)))

    return may_flip
