import pytest

from harness.exceptions import SpecError
from harness.features.images import NAMED
from harness.features.recipes import RECIPES, default_recipe, make_recipe


def test_the_published_recipe_of_simsiam_on_cifar():
    recipe = make_recipe("simsiam_cifar")
    assert (recipe.lr, recipe.batch_size, recipe.epochs, recipe.weight_decay) == (0.03, 512, 800, 5e-4)
    assert (recipe.projector_layers, recipe.projector_hidden, recipe.predictor_hidden) == (2, 2048, 512)
    assert recipe.first == recipe.second
    assert (recipe.first.min_scale, recipe.first.blur, recipe.first.jitter, recipe.first.grey) == (0.2, 0, 0.8, 0.2)


def test_settings_change_both_views_and_are_read_from_text():
    recipe = make_recipe("byol_imagenet", {"epochs": "7", "min_scale": "0.5"})
    assert recipe.epochs == 7
    assert recipe.first.min_scale == recipe.second.min_scale == 0.5
    assert (recipe.first.blur, recipe.second.blur) == (1.0, 0.1)


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("moco", {}, "Expected a recipe among simsiam_cifar"),
        ("simsiam_cifar", {"rate": 1}, "Expected a setting of a recipe among method, .* but got `rate`"),
        ("simsiam_cifar", {"first": 1}, "Expected a setting of a recipe"),
        ("simsiam_cifar", {"epochs": "many"}, "simsiam_cifar.epochs"),
        ("simsiam_cifar", {"min_scale": 2}, "min_scale"),
    ],
)
def test_what_does_not_fit_is_refused(name, changes, complaint):
    with pytest.raises(SpecError, match=complaint):
        make_recipe(name, changes)


def test_every_named_data_set_has_a_recipe():
    assert {default_recipe(name) for name in NAMED} <= set(RECIPES)
