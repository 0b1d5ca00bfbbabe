import pytest

from harness.exceptions import PackageError
from harness.features import vision


def test_torchvision_and_lightly_import_whatever_torch_is_installed():
    assert vision.load("torchvision.models").resnet18
    assert vision.load("torchvision.transforms.v2").RandomResizedCrop
    assert vision.load("lightly.models.modules.heads").SimSiamProjectionHead


def test_a_missing_module_is_one_line_that_says_how_to_install_it():
    with pytest.raises(
        PackageError, match=r"torchvision\.nothing.*pip install -c constraints\.txt -e '\.\[features\]'"
    ):
        vision.load("torchvision.nothing")
