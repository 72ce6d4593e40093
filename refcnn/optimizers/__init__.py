"""The optimizers: for each its class, which is the card of the update operation of the same name.

What follows here are the traits that a card may have beside it (:func:`refcnn.rooms.trait`), as they are where it says
nothing.
"""

#: The names under which 'refcnn train' offers the optimizer: for each what makes it from a learning rate and, by
#: name, the options that all optimizers have, and the default rate.
CHOICES = {}
