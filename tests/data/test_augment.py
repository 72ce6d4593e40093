import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, stats

import refcnn as rm
from refcnn.data import warping
from refcnn.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    Augmenter,
    Colour,
    Crop,
    Cutout,
    Draws,
    Flip,
    FlipVertical,
    Mixup,
    Rotate,
    Shift,
    parse,
)
from refcnn.errors import ArgumentError
from refcnn.philox import philox4x32

RNG = np.random.default_rng(0)
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9))
IMAGES = SHAPES.flatmap(
    lambda shape: hnp.arrays(np.uint8, shape) | hnp.arrays(np.float32, shape, elements=st.floats(-9, 9, width=32))
)
ALL = [Shift(1), Flip(), FlipVertical(), Crop(0.5), Rotate(30), Colour(0.4), Cutout(1)]


def draws(count, seed=1, stream=2):
    return Draws(seed, stream, np.arange(count))


@given(IMAGES, st.data())
def test_a_shift_moves_pixels_and_lets_black_in(x, data):
    count, _, height, width = x.shape
    down = np.array([data.draw(st.integers(1 - height, height - 1)) for _ in range(count)])
    across = np.array([data.draw(st.integers(1 - width, width - 1)) for _ in range(count)])
    found = warping.shifted(x, down, across, 7)
    assert found.dtype == x.dtype
    for n, _, i, j in np.ndindex(x.shape):
        row, column = i - down[n], j - across[n]
        inside = 0 <= row < height and 0 <= column < width
        np.testing.assert_array_equal(found[n, :, i, j], x[n, :, row, column] if inside else 7)


@given(IMAGES, st.data())
def test_a_cut_is_black_and_the_rest_is_as_it_was(x, data):
    size = data.draw(st.integers(1, 9))
    top, left = (np.array([data.draw(st.integers(-9, 9)) for _ in range(len(x))]) for _ in range(2))
    found, expected = warping.cut_out(x, top, left, size, 3), x.copy()
    for n in range(len(x)):
        expected[n, :, max(top[n], 0) : max(top[n] + size, 0), max(left[n], 0) : max(left[n] + size, 0)] = 3
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, expected)


@given(IMAGES, st.data())
def test_turning_is_that_of_scipy(x, data):
    angles = np.array([data.draw(st.floats(-4, 4)) for _ in range(len(x))])
    found = warping.rotated(x, angles, 2)
    assert found.dtype == np.float32
    middle = (np.array(x.shape[2:]) - 1) / 2
    for n, angle in enumerate(angles):
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for channel, plane in enumerate(x[n].astype(np.float64)):
            expected = ndimage.affine_transform(
                plane, matrix, middle - matrix @ middle, order=1, mode="grid-constant", cval=2
            )
            np.testing.assert_allclose(found[n, channel], expected, atol=1e-4 * max(1, np.abs(x).max()))


def test_a_quarter_turn_is_counter_clockwise():
    x = RNG.normal(size=(1, 2, 4, 4)).astype(np.float32)
    found = warping.rotated(x, np.array([np.pi / 2]))
    np.testing.assert_allclose(found, np.rot90(x, axes=(2, 3)), atol=1e-5)
    np.testing.assert_array_equal(warping.rotated(x, np.zeros(1)), x)


@given(IMAGES, st.data())
def test_a_crop_is_resized_as_scipy_samples(x, data):
    parts = [[data.draw(st.floats(0.1, 1)) for _ in x] for _ in range(2)]
    starts = [[data.draw(st.floats(0, 1)) for _ in x] for _ in range(2)]
    size = [np.array(part) * length for part, length in zip(parts, x.shape[2:], strict=True)]
    corner = [np.array(u) * (length - s) for u, length, s in zip(starts, x.shape[2:], size, strict=True)]
    found = warping.cropped(x, corner, size)
    for n in range(len(x)):
        places = np.meshgrid(
            *(
                corner[axis][n] + (np.arange(length) + 0.5) * size[axis][n] / length - 0.5
                for axis, length in enumerate(x.shape[2:])
            ),
            indexing="ij",
        )
        for channel, plane in enumerate(x[n].astype(np.float64)):
            expected = ndimage.map_coordinates(plane, places, order=1, mode="nearest")
            np.testing.assert_allclose(found[n, channel], expected, atol=1e-4 * max(1, np.abs(x).max()))


def test_a_crop_of_all_changes_nothing():
    x = RNG.integers(0, 256, (2, 3, 5, 7), np.uint8)
    np.testing.assert_array_equal(warping.cropped(x, (np.zeros(2), np.zeros(2)), (np.full(2, 5), np.full(2, 7))), x)


@given(IMAGES, st.tuples(*[st.floats(0.5, 1.5)] * 3))
def test_colours_follow_the_formulas(x, factors):
    brightness, contrast, saturation = factors
    found = warping.coloured(x, *(np.full(len(x), factor) for factor in factors), black=1.0, white=8.0)
    y = 1 + brightness * (x.astype(np.float64) - 1)
    for n in range(len(x)):
        expected = y[n].mean() + contrast * (y[n] - y[n].mean())
        if x.shape[1] == 3:
            grey = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2]
            expected = grey + saturation * (expected - grey)
        np.testing.assert_allclose(found[n], expected.clip(1, 8), atol=1e-5 * max(1, np.abs(x).max()))
    np.testing.assert_allclose(
        warping.coloured(x, *(np.ones(len(x)) for _ in factors)), x, atol=1e-6 * max(1, float(np.abs(x).max()))
    )


@pytest.mark.parametrize("one", ALL, ids=str)
def test_what_becomes_of_an_image_depends_on_its_index_alone(one):
    x = RNG.integers(0, 256, (6, 3, 7, 8), np.uint8)
    order = np.array([4, 0, 5])
    together, again = one(x, draws(6)), one(x[order], Draws(1, 2, order))
    # The mean of a contrast is summed in another order.
    np.testing.assert_allclose(together[order], again, rtol=1e-5 if isinstance(one, Colour) else 0)
    x_before = x.copy()
    # Of each seed and stream others: somewhere among them lies a change.
    found = [one(x, draws(6, seed, stream)) for seed, stream in ((1, 3), (2, 2), (2, 3))]
    assert any(not np.array_equal(together, other) for other in found)
    np.testing.assert_array_equal(x, x_before)


@pytest.mark.parametrize("one", [Crop(0.5), Rotate(30)], ids=str)
def test_a_few_images_at_a_time_give_the_same_bits(monkeypatch, one):
    x = RNG.integers(0, 256, (7, 2, 5, 6), np.uint8)
    whole = one(x, draws(7))
    monkeypatch.setattr(warping, "PIXELS_AT_ONCE", 2 * 5 * 6)
    np.testing.assert_array_equal(one(x, draws(7)), whole)


def test_numbers_are_those_of_philox_in_the_upper_half_of_the_stream():
    seed, stream, index = 2**40 + 5, 7, 3
    source = Draws(seed, stream, np.array([index, index + 1]))
    first, second = source.uniform(6), source.uniform(1)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)

    def block(number):
        return philox4x32(np.array([index * 2**16 + number, 2**31, stream, 0], np.uint32), key)

    expected = np.concatenate([block(0), block(1)])[:6]
    np.testing.assert_array_equal(first[:, 0], (expected + 0.5) / 2**32)
    np.testing.assert_array_equal(second[:, 0], (block(2)[:1] + 0.5) / 2**32)
    assert first.shape == (6, 2) and not np.array_equal(first[:, 0], first[:, 1])


def test_draws_cover_their_range_evenly():
    x = np.zeros((4000, 1, 5, 5), np.uint8)
    x[:, :, 2, 2] = 1
    places = np.argwhere(Shift(2)(x, draws(4000)))[:, 2:]
    counts = np.bincount(places[:, 0] * 5 + places[:, 1], minlength=25)
    assert stats.chisquare(counts).pvalue > 1e-3
    flipped = Flip()(x[:, :, :, 1:], draws(4000))[:, 0, 2, 2] == 1
    assert stats.binomtest(int(flipped.sum()), 4000).pvalue > 1e-3
    shares = Mixup(0.4).shares(draws(4000))
    assert (shares >= 0.5).all()
    # The larger of two shares that add up to 1.
    law = stats.beta(0.4, 0.4)
    assert stats.kstest(shares, lambda share: law.cdf(share) - law.cdf(1 - share)).pvalue > 1e-3


def test_mixup_mixes_images_and_their_targets_alike():
    x = np.zeros((4, 1, 2, 4), np.uint8)
    x[np.arange(4), :, :, np.arange(4)] = 100
    mixed, rows = Augmenter([Mixup(1.0)], x.shape[1:], 4)(x, np.arange(4), draws(4))
    np.testing.assert_allclose(mixed[:, 0, 0] / 100, rows, rtol=1e-6)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)
    assert ((rows > 0).sum(axis=1) == 2).all() and mixed.dtype == rows.dtype == np.float32
    again, of_rows = Augmenter("mixup=1", x.shape[1:])(x, np.eye(4), draws(4))
    np.testing.assert_array_equal(of_rows, rows)
    np.testing.assert_array_equal(again, mixed)


def test_texts_name_augmentations():
    assert parse("shift=2, flip,color=0.1") == (Shift(2), Flip(), Colour(0.1))
    text = ",".join(AUGMENTATIONS)
    assert [one.name for one in parse(text)] == list(AUGMENTATIONS)
    assert parse(",".join(map(str, parse(text)))) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shift,",
        "shift=",
        "shift=x",
        "shift=nan",
        "flip=1",
        "shift=0",
        "shift=2.5",
        "crop=0",
        "crop=1.1",
        "rotate=181",
    ]
    + ["rotate=-1", "colour=1", "colour=-0.1", "mixup=0", "cutout=0", "shfit=2", "shift=2=3", "Shift"],
)
def test_texts_that_name_none(text):
    with pytest.raises(ArgumentError):
        parse(text)


def test_a_name_that_is_close_is_suggested():
    with pytest.raises(ArgumentError, match="shift"):
        parse("shfit")


@pytest.mark.parametrize("text", ["shift=6", "shift=0.99", "cutout=8", "crop=0.01", "mixup,mixup"])
def test_what_leaves_nothing_of_the_image_is_refused_before_training(text):
    with pytest.raises(ArgumentError):
        rm.fit(rm.Sequential([rm.Flatten(), rm.Dense(2)]), (np.zeros((4, 1, 6, 8)), np.zeros(4, int)), augment=text)


@given(
    st.integers(2, 12), st.integers(2, 12), st.sampled_from(ALL[:2] + [Cutout(3), Shift(0.4), Cutout(0.9), Shift(3)])
)
def test_what_is_taken_leaves_something(height, width, one):
    x = np.full((50, 1, height, width), 9, np.uint8)
    try:
        one.check(x.shape[1:])
    except ArgumentError:
        return
    assert one(x, draws(50)).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    "data, augment",
    [
        ((np.zeros((4, 6)), np.zeros(4, int)), "flip"),
        (((np.zeros((4, 1, 6, 6)), np.zeros((4, 1))), np.zeros(4, int)), "flip"),
        ([(np.zeros((4, 1, 6, 6)), np.zeros(4, int))], "flip"),
        ((np.zeros((4, 1, 6, 6)), np.zeros((4, 3, 3))), "mixup"),
        ((np.zeros((4, 1, 6, 6)), np.zeros(4, int)), 3),
        ((np.zeros((4, 1, 6, 6)), np.zeros(4, int)), ["flip"]),
    ],
)
def test_what_cannot_be_augmented_is_refused(data, augment):
    with pytest.raises(ArgumentError):
        rm.fit(rm.Sequential([rm.Flatten(), rm.Dense(2)]), data, augment=augment, epochs=1, verbose=False)


@dataclasses.dataclass(frozen=True)
class Remember(Augmentation):
    """An augmentation of a user's own."""

    seen: list

    def __call__(self, x, draws, black=0.0, white=None):
        self.seen.append((len(x), black, white))
        return x


def test_fit_augments_training_images_anew_in_each_epoch_and_leaves_validation_alone():
    digits = rm.data.digits().subset(np.arange(40))
    seen = []
    results = []
    for augment in (None, "shift=1,mixup", [Shift(1), Mixup()], [Remember(seen)]):
        rm.set_seed(5)
        model = rm.Sequential([rm.Flatten(), rm.Dense(10)])
        rows = rm.fit(model, digits, validation=digits, augment=augment, epochs=2, batch_size=16, verbose=False)
        results.append([row["train_loss"] for row in rows])
    assert results[0] != results[1] == results[2] and results[0] == results[3]
    assert seen == [(16, 0, 16), (16, 0, 16), (8, 0, 16)] * 2
