"""Stochastic gradient descent with momentum, in the form of ReNom 2.7.

    v_new = m v + lr g
    w_new = w - v_new                        without Nesterov
    w_new = w - ((1 + m) v_new - m v)        with Nesterov's look ahead

Source: Sutskever, Martens, Dahl and Hinton, "On the importance of
initialization and momentum in deep learning" (2013).
"""


def forward(w, g, v, *, lr, momentum, nesterov):
    """Parameter w, its gradient g, its velocity v, all of one shape -> (w, v)."""
    lr, momentum, one = (w.dtype.type(value) for value in (lr, momentum, 1))
    v_new = momentum * v + lr * g
    if nesterov:
        return w - ((one + momentum) * v_new - momentum * v), v_new
    return w - v_new, v_new
