"""The ready networks: they are those of their papers, and train on small images."""

import numpy as np
import pytest

import refcnn as rm
from refcnn import models
from refcnn.backend import use_backend
from refcnn.errors import ShapeError
from refcnn.initializers import GlorotNormal, HeNormal

RNG = np.random.default_rng(0)

#: Parameters with 1,000 classes for large images, as torchvision and the papers' authors count them.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "squeezenet": 1_235_496,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "densenet121": 7_978_856,
}
#: Those of the convolutions where the image's size makes those of the rest.
PUBLISHED_OF_CONVOLUTIONS = {"alexnet": 2_469_696, "vgg11": 9_220_480, "vgg16": 14_714_688}


@pytest.fixture
def empty_weights(monkeypatch):
    """Weights that need no drawing, where only their number counts."""
    for kind in (GlorotNormal, HeNormal):
        monkeypatch.setattr(kind, "__call__", lambda self, shape: np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", PUBLISHED | PUBLISHED_OF_CONVOLUTIONS)
def test_as_many_parameters_as_published(name, empty_weights):
    use_backend("auto")
    model = models.NAMED[name]((3, 64, 64), 1000)
    model(np.zeros((1, 3, 64, 64)))
    counts = {entry: np.prod(parameter.shape, dtype=int) for entry, parameter in model.parameters()}
    if name in PUBLISHED:
        assert sum(counts.values()) == PUBLISHED[name]
        return
    of_dense = [count for entry, count in counts.items() if isinstance(model[int(entry.split(".")[0])], rm.Dense)]
    assert sum(counts.values()) - sum(of_dense) == PUBLISHED_OF_CONVOLUTIONS[name]


@pytest.mark.parametrize("name", models.NAMED)
def test_small_images_are_taken(name, empty_weights):
    use_backend("auto")
    models.build(name, (1, 28, 28), 10)


def test_an_image_that_a_network_pools_away_is_refused():
    with pytest.raises(ShapeError):
        models.build("alexnet", (1, 5, 5), 10)
    with pytest.raises(ShapeError, match="multiples of 8"):
        models.unet((1, 12, 12), 2)(np.zeros((1, 1, 12, 12)))
