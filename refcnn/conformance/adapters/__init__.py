"""Implementations that others wrote, as :mod:`refcnn.conformance` can test them."""
