"""Every fenced block of the documents runs, in a folder per page that looks like a checkout.

- `sh` runs in bash and `python` in one namespace, in the order of the page; one that begins with `# NAME.py` or
  `# NAME.yaml` is that file instead.
- `text` is what the block before it printed, with `...` for what varies.
- `<!-- not run: REASON -->` or `<!-- slow: REASON -->` above a block: not at all, or with `pytest -m slow` alone.
  Its commands, like those within a sentence, are then held against the options of the real command line.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from markdown_it import MarkdownIt
from ray.scripts.scripts import cli as ray
from typer.main import get_command

from studies.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MOST_NOT_RUN = 12
PROGRAMS = {"ntkcpl": get_command(app), "ray": ray}

_MARK = re.compile(r"<!-- (not run|slow): (.+?) -->")
_FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\b")
_LINK = re.compile(r"(?<!\\)\]\(([^)#\s]+)")


class Block(NamedTuple):
    """A fenced block: its language, what it holds, where it is, and when it is run."""

    language: str
    source: str
    line: int
    when: str
    reason: str


def tokens(page):
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def blocks(page):
    found, when, reason = [], "always", ""
    for token in tokens(page):
        if mark := _MARK.search(token.content) if token.type == "html_block" else None:
            when, reason = mark.groups()
        elif token.type == "fence":
            found.append(Block(token.info, token.content, token.map[0] + 1, when, reason))
            when, reason = "always", ""
    return found


def commands(source):
    """Words of each `ntkcpl`, `ray` and `make` in a shell block, from the program's name on."""
    for line in source.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        starts = [i for i, word in enumerate(words) if Path(word).name in {*PROGRAMS, "make"}]
        for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
            yield [Path(words[start]).name, *(word for word in words[start + 1 : end] if word not in ("--", "&"))]


def check_command(words, *, complete=True):
    """Hold a command against what its program knows; `complete`: nothing that it needs may be missing."""
    program, rest = words[0], words[1:]
    if program == "make":
        subprocess.run(["make", "--dry-run", *rest], cwd=ROOT, check=True, capture_output=True)
        return
    command, path = PROGRAMS[program], [program]
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command, path, rest = command.commands[rest[0]], [*path, rest[0]], rest[1:]
    if complete:
        command.make_context(" ".join(path), list(rest))
        return
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    for word in rest:
        assert not word.startswith("--") or word.partition("=")[0] in known, (path, word)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the files of the repository, and a virtual environment that is the interpreter under test."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name not in ("runs", "site"):
            (tmp_path / entry.name).symlink_to(entry)
    programs = Path(sys.executable).parent
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(programs)
    (tmp_path / ".venv" / ".installed").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def run_page(page, *, slow):
    namespace, printed = {"__name__": "__main__"}, ""
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.language == "text":
            if printed is not None:
                assert printed_like(block.source, printed), f"{where} shows what was not printed:\n{printed}"
        elif block.when == "not run" or (block.when == "slow" and not slow):
            printed = None
        elif name := _FILE.match(block.source):
            Path(name[1]).write_text(block.source)
        elif block.language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            printed = done.stdout
            assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{printed}"
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.source, where, "exec"), namespace)
            printed = out.getvalue()


def printed_like(wanted, got):
    """Whether `got` is `wanted`, but for white space and what `...` stands for."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(wanted, got, flags)


def named(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
class TestPage:
    def test_blocks_are_of_a_known_language(self, page):
        for block in blocks(page):
            assert block.language in ("sh", "python", "yaml", "text"), f"{named(page)}:{block.line}"
            if block.language == "yaml":
                assert yaml.safe_load(block.source)

    def test_commands_exist(self, page):
        for block in blocks(page):
            for words in commands(block.source) if block.language == "sh" else ():
                check_command(words)

    def test_commands_within_sentences_exist(self, page):
        for token in tokens(page):
            for child in token.children or ():
                if child.type == "code_inline" and child.content.startswith(("ntkcpl ", "ray ", "make ")):
                    check_command(shlex.split(child.content), complete=False)

    def test_links_lead_somewhere(self, page):
        for target in _LINK.findall(page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if any(b.when == "always" for b in blocks(page))], ids=named)
def test_page_runs(page, checkout):
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [page for page in PAGES if any(b.when == "slow" for b in blocks(page))], ids=named)
def test_page_runs_with_its_slow_blocks(page, checkout):
    run_page(page, slow=True)


def test_few_blocks_are_not_run():
    left_out = [
        f"{named(page)}:{block.line}: {block.reason}"
        for page in PAGES
        for block in blocks(page)
        if block.when == "not run"
    ]
    print(*left_out, sep="\n")
    assert len(left_out) <= MOST_NOT_RUN, left_out


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("1 of 2", "1 of 3"), ("a\n...\nc", "a\nb\nd"), ("best\n", "the best\n")],
)
def test_another_output_is_noticed(wanted, got):
    assert not printed_like(wanted, got)


@pytest.mark.parametrize("line", ["ntkcpl compare --shedule 10x3 --out a", "ntkcpl compare", "ray start --hed", "make tset"])
def test_a_wrong_command_is_noticed(line):
    (words,) = commands(line)
    with pytest.raises(Exception, match=r"No such option|Missing option|returned non-zero"):
        check_command(words)


def test_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for built in tmp_path.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=[\"']?([^\"' >]+)|<link[^>]* href=[\"']?([^\"' >]+)", built.read_text())
        assert not [source for pair in loaded for source in pair if re.match(r"(https?:)?//", source)], built
