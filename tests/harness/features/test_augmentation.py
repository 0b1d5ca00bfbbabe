import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import ks_2samp

from harness.features import augmentation, vision
from harness.features.augmentation import MEAN, STD, View, augment, draw

PLAIN = View(min_scale=1.0, flip=0, jitter=0, grey=0)


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(64, 3, 24, 24)), (0, 0, 2, 2))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy((255 * smooth).astype(np.uint8))


def grey_levels(views):
    return 255 * (views * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_crops_are_resized_as_pillow_does(data):
    from PIL import Image

    height, width = (data.draw(st.integers(3, 40)) for _ in range(2))
    top, left = data.draw(st.integers(0, height - 2)), data.draw(st.integers(0, width - 2))
    box_height, box_width = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    size, flip = data.draw(st.integers(2, 33)), data.draw(st.booleans())
    image = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)

    cut = Image.fromarray(image).crop((left, top, left + box_width, top + box_height)).resize((size, size), 2)
    expected = np.asarray(cut)[:, :: -1 if flip else 1]
    rows, columns = (
        augmentation._resizing(
            torch.tensor([float(start)]), torch.tensor([float(n)]), n_in, size, torch.tensor([turn])
        )[0]
        for start, n, n_in, turn in ((top, box_height, height, False), (left, box_width, width, flip))
    )
    found = (rows @ torch.from_numpy(image).float() @ columns.T).numpy()
    assert np.abs(found - expected).max() <= 1.01  # Pillow rounds twice.


def test_a_view_that_changes_nothing_is_the_normalised_image(pixels):
    view = augment(pixels, draw(len(pixels), torch.Generator().manual_seed(0)), PLAIN, 24)
    assert view.shape == (64, 3, 24, 24)
    # At scale 1 most crops do not fit and the whole image is taken.
    whole = (grey_levels(view) - pixels).abs().amax(dim=(1, 2, 3)) < 0.01
    assert whole.float().mean() > 0.5


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.07, 0.5])
def test_hue_is_that_of_torchvision(pixels, shift):
    functional = vision.load("torchvision.transforms.v2.functional")
    images = pixels / 255
    found = augmentation._shift_hue(images, torch.full((len(images),), shift))
    assert torch.allclose(found, functional.adjust_hue(images, shift), atol=1e-4)


def test_brightness_contrast_and_saturation_are_those_of_torchvision(pixels):
    functional = vision.load("torchvision.transforms.v2.functional")
    images = pixels[:1] / 255
    factors, order = torch.tensor([[1.3], [0.6], [1.4]]), torch.tensor([[2, 0, 1, 3]])
    found = augmentation._jitter(images, factors, torch.zeros(1), order)
    expected = functional.adjust_contrast(
        functional.adjust_brightness(functional.adjust_saturation(images, 1.4), 1.3), 0.6
    )
    assert torch.allclose(found, expected, atol=1e-3)  # torchvision's grey has four digits


def test_blur_is_a_gaussian_that_continues_the_border(pixels):
    images = pixels[:8].double() / 255
    matrix = augmentation._blurring(torch.linspace(0.3, 2.0, 8).double(), 24)[:, None]
    for found, image, sigma in zip(matrix @ images @ matrix.mT, images, np.linspace(0.3, 2.0, 8), strict=True):
        expected = gaussian_filter(image.numpy(), (0, sigma, sigma), mode="nearest", radius=6)
        assert np.abs(found.numpy() - expected).max() < 1e-3  # scipy cuts the tails at 6 pixels


def test_solarised_and_grey_views(pixels):
    view = View(min_scale=1.0, flip=0, jitter=0, grey=1, solarise=1)
    found = grey_levels(augment(pixels, draw(64, torch.Generator().manual_seed(0)), view, 24))
    assert torch.allclose(found[:, 0], found[:, 2], atol=1e-2)
    assert found.max() <= 128


def test_views_of_an_image_do_not_depend_on_the_others(pixels):
    draws, view = draw(64, torch.Generator().manual_seed(0)), View(blur=0.5, solarise=0.5)
    together = augment(pixels, draws, view, 24)
    alone = augment(pixels[5:6], draws[5:6], view, 24)
    assert torch.allclose(together[5:6], alone, atol=1e-5)


def test_views_are_distributed_as_those_of_lightly(pixels):
    """Statistics of 800 views of one image, lightly's against ours: Kolmogorov-Smirnov, all seeds fixed."""
    from PIL import Image

    transforms = vision.load("lightly.transforms")
    make = transforms.SimSiamTransform(input_size=24, gaussian_blur=0.5)
    image, n = pixels[0], 800
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy())
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002  lightly draws its blur from the global generator
        theirs = torch.stack([make(pillow)[0] for _ in range(n)])
    np.random.set_state(state)  # noqa: NPY002
    ours = augment(image.expand(n, -1, -1, -1), draw(n, torch.Generator().manual_seed(2)), View(blur=0.5), 24)

    def statistics(views):
        levels = grey_levels(views)
        detail = (levels[:, :, :, 1:] - levels[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        slope = levels.mean(dim=1) @ torch.linspace(-1, 1, 24)
        colour = (levels[:, 0] - levels[:, 2]).mean(dim=(1, 2))
        return {
            "mean": levels.mean(dim=(1, 2, 3)),
            "std": levels.std(dim=(1, 2, 3)),
            "detail": detail,
            "colour": colour,
            "slope": slope.mean(dim=1),
        }

    for name, (a, b) in {key: (value, statistics(theirs)[key]) for key, value in statistics(ours).items()}.items():
        assert ks_2samp(a.numpy(), b.numpy()).pvalue > 0.01, name
