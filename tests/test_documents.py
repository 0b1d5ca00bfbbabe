"""Every fenced block of the documents runs, in a folder per page that looks like a checkout.

- `sh` runs in bash and `python` in one namespace, in the order of the page; one that begins with `# NAME.py` or
  `# NAME.yaml` is that file instead, for the commands that follow.
- `text` is what the block before it printed: `...` stands for what varies, and under `<!-- numbers vary -->` so does
  each number.
- `ntkcpl` is forked from a process that has imported everything, and compares without Ray; on the pages of
  `AS_INSTALLED`, and with `pytest -m slow`, it is the installed program.
- `<!-- not run: REASON -->` or `<!-- slow: REASON -->` above a block: not at all, or with `pytest -m slow` alone.

Commands, those within a sentence too, are held against the options of the real command line.
"""

import contextlib
import doctest
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from markdown_it import MarkdownIt
from ray.scripts.scripts import cli as ray
from typer.main import get_command

from studies.cli import app
from tests.preloaded import preloaded

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {"ntkcpl": get_command(app), "ray": ray}
LANGUAGES = {"sh": None, "python": None, "text": None, "yaml": yaml.safe_load, "toml": tomllib.loads}
AS_INSTALLED = ("docs/how-to/run-on-a-cluster.md",)
"""Pages of which each command is a new process with a cluster of its own, as a reader's."""
MOST_NOT_RUN = 12

_MARK = re.compile(r"<!-- (not run|slow|numbers vary)(?:: (.+?))? -->")
_FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\b")
_LINK = re.compile(r"\]\(([^)#\s]+)")
_NUMBER = re.compile(r"[-+−]?\d(?:[\d.]|,\d{3})*|─+")


class Block(NamedTuple):
    """A fenced block: its language, what it holds, where it is, and the mark above it with its reason."""

    language: str
    source: str
    line: int
    mark: str | None = None
    reason: str | None = None


def tokens(page):
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def blocks(page):
    found, mark = [], ()
    for token in tokens(page):
        if token.type == "html_block" and (match := _MARK.search(token.content)):
            mark = match.groups()
        elif token.type == "fence":
            found.append(Block(token.info, token.content, token.map[0] + 1, *mark))
            mark = ()
    return found


def named(page):
    return str(page.relative_to(ROOT))


def pages(wanted):
    """Pages with a block that `wanted` accepts, as parameters of a test."""
    return pytest.mark.parametrize("page", [page for page in PAGES if any(map(wanted, blocks(page)))], ids=named)


@pages(bool)
def test_languages_are_known(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{named(page)}:{block.line}"
        if parse := LANGUAGES[block.language]:
            assert parse(block.source)


@pages(lambda block: block.language == "sh")
def test_commands_exist(page):
    for block in blocks(page):
        for words in commands(block.source) if block.language == "sh" else ():
            check_command(words)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_within_sentences_exist(page):
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.startswith(("ntkcpl ", "ray ", "make ")):
                check_command(shlex.split(child.content), complete=False)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in _LINK.findall(page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.timeout(900)
@pages(lambda block: block.language in ("sh", "python") and block.mark is None)
def test_page_runs(page, checkout, request, monkeypatch):
    if "s3://" in page.read_text():
        request.getfixturevalue("s3_server")
    if named(page) not in AS_INSTALLED:
        monkeypatch.setenv("PATH", request.getfixturevalue("programs"), prepend=os.pathsep)
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pages(lambda block: block.mark == "slow")
def test_page_runs_with_its_slow_blocks(page, checkout, request):
    for words, fixture in (("--address auto", "two_nodes"), ("s3://", "s3_server")):
        if words in page.read_text():
            request.getfixturevalue(fixture)
    run_page(page, slow=True)


def test_the_page_and_the_example_in_python_are_the_same():
    page = [block.source for block in blocks(ROOT / "docs/how-to/use-from-python.md") if block.language == "python"]
    cells = re.split(r"^# %% .+\n", (ROOT / "examples/in-python/study.py").read_text(), flags=re.MULTILINE)
    assert [cell.strip() for cell in cells[1:]] == [source.strip() for source in page]


def test_few_blocks_are_not_run():
    left_out = [
        f"{named(page)}:{block.line}: {block.reason}"
        for page in PAGES
        for block in blocks(page)
        if block.mark == "not run"
    ]
    assert len(left_out) <= MOST_NOT_RUN, left_out


@pytest.mark.parametrize(
    ("wanted", "got", "numbers_vary"),
    [
        ("1 of 2\n", "1 of 3\n", False),
        ("1 of 2\n", "1 of 2 points\n", True),
        ("a\n...\nc\n", "a\nb\nd\n", False),
        ("best\n", "the best\n", False),
    ],
)
def test_another_output_is_noticed(wanted, got, numbers_vary):
    assert printed_like(wanted, wanted, numbers_vary=numbers_vary)
    assert not printed_like(wanted, got, numbers_vary=numbers_vary)


def test_a_number_may_have_thousands_where_numbers_vary():
    assert printed_like("220 images/s, 8 s\n", "1,161 images/s, 12 s\n", numbers_vary=True)
    assert not printed_like("220, 8\n", "220\n", numbers_vary=True)


@pytest.mark.parametrize(
    "line", ["ntkcpl compare --shedule 10x3 --out a", "ntkcpl compare", "ray start --hed", "make tset"]
)
def test_a_wrong_command_is_noticed(line):
    (words,) = commands(line)
    with pytest.raises(Exception, match=r"No such option|Missing|returned non-zero"):
        check_command(words)


def test_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    loads = re.compile(r"<(?:script|img|iframe)\b[^>]* src=[\"']?(?:https?:)?//|<link\b[^>]* href=[\"']?(?:https?:)?//")
    assert not [page for page in tmp_path.rglob("*.html") if loads.search(page.read_text())]
    assert "ntkcpl compare" in (tmp_path / "reference" / "command-line" / "index.html").read_text()


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
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """A folder with an `ntkcpl` that starts at once."""
    with preloaded(tmp_path_factory.mktemp("programs")) as folder:
        yield str(folder)


@pytest.fixture
def two_nodes(monkeypatch):
    """What `--address auto` finds: a cluster of more than one node on this machine."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    script = ROOT / "tests" / "chaos" / "simulated_cluster.py"
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        monkeypatch.setenv("RAY_ADDRESS", cluster.stdout.readline().strip())
        yield
        cluster.stdin.close()


def run_page(page, *, slow):
    namespace, printed = {"__name__": "__main__"}, ""
    for block in blocks(page):
        where = f"{named(page)}:{block.line}"
        if block.language == "text":
            if printed is not None:
                alike = printed_like(block.source, printed, numbers_vary=block.mark == "numbers vary")
                assert alike, f"{where} shows what was not printed:\n{printed}"
        elif block.mark == "not run" or (block.mark == "slow" and not slow):
            printed = None
        elif name := _FILE.match(block.source):
            Path(name[1]).write_text(block.source)
        elif block.language == "sh":
            bash = ["bash", "-euo", "pipefail", "-c", block.source]
            done = subprocess.run(bash, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            printed = done.stdout
            assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{printed}"
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.source, where, "exec"), namespace)
            printed = out.getvalue()


def printed_like(wanted, got, *, numbers_vary):
    """Whether `got` is `wanted`, but for white space and what may vary."""
    if numbers_vary:
        wanted, got = (_NUMBER.sub("0", text) for text in (wanted, got))
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def commands(source):
    """Each `ntkcpl`, `ray` and `make` of a shell block with its words; those of a `ray job` are two commands."""
    for line in source.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for start, word in enumerate(words):
            if Path(word).name in {*PROGRAMS, "make"}:
                rest = itertools.takewhile(lambda word: word not in ("&", "&&", "|", "||", ">", ";"), words[start:])
                yield [Path(word).name, *list(rest)[1:]]


def check_command(words, *, complete=True):
    """Hold a command against what its program knows; `complete`: nothing that it needs may be missing."""
    program, *rest = words
    if program == "make":
        subprocess.run(["make", "--dry-run", *rest], cwd=ROOT, check=True, capture_output=True)
        return
    command = PROGRAMS[program]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    if complete:
        command.make_context(program, rest)
        return
    assert command is not PROGRAMS[program], words
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    assert not [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known], words
