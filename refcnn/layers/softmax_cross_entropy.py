"""The loss of classification: cross entropy of the softmax of logits."""

from ..errors import ShapeError
from ..function import apply
from ..variable import Input, Variable, as_variable


def softmax_cross_entropy(output: Input, target: Input, reduce_sum: bool = True) -> Variable:
    """Return the cross entropy between targets and the softmax of logits.

    A target of 0 takes no part, so that classes may be excluded by logits of -infinity: their probability is 0, and
    with a target of 0 so is what they add to the loss. With any other target the loss is infinite.

    Parameters
    ----------
    output : Variable or array_like, (N, K)
        Logits.
    target : Variable or array_like, (N, K)
        Probabilities of the classes, one-hot rows as a rule (:func:`refcnn.data.one_hot` makes them of labels).
    reduce_sum : bool
        Sum over the classes and take the mean over the batch; otherwise the terms stand by themselves.

    Returns
    -------
    Variable, () or (N, K)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    output, target = as_variable(output), as_variable(target)
    if len(output.shape) != 2 or 0 in output.shape or output.shape != target.shape:
        raise ShapeError(
            f"softmax_cross_entropy: the output has shape {output.shape} and the target {target.shape}. Give logits "
            "(N, K) and targets (N, K), one row of K probabilities for each example; refcnn.data.one_hot(labels, "
            f"{output.shape[-1] if output.shape else 'K'}) makes them of labels."
        )
    return apply("softmax_cross_entropy", output, target, reduce_sum=bool(reduce_sum))
