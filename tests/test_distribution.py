"""What is shipped: the archives' contents, and a wheel that works where nothing else of ours is."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["analysis", "harness", "strategies", "studies"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(*words, cwd, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    result = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def tracked(*paths):
    """Files of the repository, as git knows them."""
    listed = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git repository")
    return set(listed.stdout.splitlines())


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The sdist of this checkout, and the wheel made from it."""
    tracked()
    folder = tmp_path_factory.mktemp("distribution")
    run("git", "clone", "--quiet", ROOT, folder / "checkout", cwd=folder)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "checkout", cwd=folder)
    (sdist,), (wheel,) = (list((folder / "dist").glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    return sdist, wheel


def test_sdist_holds_what_its_tests_need(archives):
    with tarfile.open(archives[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = [*PACKAGES, "tests", "examples", "docs", "benchmarks"]
    wanted = tracked(*folders) | {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile"}
    assert not wanted - names


def test_wheel_holds_the_packages_and_nothing_else(archives):
    with zipfile.ZipFile(archives[1]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == tracked(*PACKAGES)


def test_wheel_works_in_an_empty_environment(archives, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", archives[1], cwd=tmp_path)
    ntkcpl = binaries / "ntkcpl"
    where = run(binaries / "python", "-c", "import strategies; print(strategies.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert "ntkcpl_al" in run(ntkcpl, "list", "strategies", cwd=tmp_path)
    assert "cifar10" in run(ntkcpl, "list", "studies", cwd=tmp_path)
    words = "compare --data digits --strategies random,ntkcpl_self --schedule 10x2 --seeds 2 --workers 1 --out runs"
    run(ntkcpl, *words.split(), "--set", "learner.epochs=3", cwd=tmp_path)
    run(ntkcpl, "report", "runs", cwd=tmp_path)
    assert "ntkcpl_self" in (tmp_path / "runs" / "report" / "index.html").read_text()
    assert (tmp_path / "runs" / "report" / "tables").is_dir()
