"""The device's block on the CPU, with torch and with Triton's interpreter, against the CPU's own block."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from strategies.base import Compute
from strategies.functional.engine import gpu
from strategies.functional.engine.cpu import Block
from strategies.functional.engine.gpu import DeviceBlock, count_wrong
from strategies.functional.engine.problem import absolute_ridge, condition
from strategies.functional.ntk import draw_network, make_kernel
from strategies.functional.tiles import TILE_ROWS
from tests.strategies.test_lookahead_engine import (
    SCORES,
    Case,
    accept,
    check_what_is_kept,
    dense_count,
    make_case,
    pick_from,
)

KINDS = ["distinct", "duplicated", "lattice"]


@pytest.fixture(scope="module")
def fused():
    """Triton's kernel; `conftest` chooses the interpreter."""
    pytest.importorskip("triton", reason="Triton is not installed")
    from strategies.functional.engine.fused import count_wrong_fused

    return count_wrong_fused


def device_block(case: Case, score="zero_one", count=count_wrong, **share):
    return DeviceBlock(case.problem, slice(None), score, Compute(**share), count)


def check_against_the_definition(case, count):
    block = device_block(case, count=count)
    candidates, ids = case.problem.candidates, case.problem.pool_indices
    is_left = np.ones(len(candidates), dtype=bool)
    for _ in range(min(5, len(candidates))):
        expected = np.array([dense_count(case, block, position) for position in candidates[is_left]])
        np.testing.assert_array_equal(block.scores()[is_left], expected)
        best = block.best()
        assert best == min(zip(expected, ids[candidates[is_left]], strict=True))
        accept([block], best.pool_index)
        is_left &= ids[candidates] != best.pool_index


cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "n": st.integers(2, 20),
        "n_classes": st.sampled_from([1, 2, 3, 10, 40]),
        "n_labelled": st.sampled_from([0, 1]),
        "kind": st.sampled_from(KINDS),
        "ridge": st.sampled_from([1e-4, 1e-2, 1]),
        "initial": st.sampled_from(["zero", "random"]),
        "targets": st.sampled_from(["labels", "random"]),
    }
)


@settings(deadline=None, max_examples=50)
@given(cases)
def test_counts_and_picks_are_those_of_the_definition(options):
    check_against_the_definition(make_case(**options), count_wrong)


@pytest.mark.parametrize("n_classes", [1, 3, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_fused_counts_and_picks_are_those_of_the_definition(fused, kind, n_classes):
    for seed in range(2):
        check_against_the_definition(make_case(seed, n=6, n_classes=n_classes, kind=kind, targets="random"), fused)


def test_fused_pass_gives_the_bits_of_the_separate_ones(fused):
    # Enough points that a list holds some of a candidate's undecided points, and is too short for others.
    case = make_case(3, n=270, n_classes=4, n_labelled=9, initial="random")
    problem = replace(case.problem, candidates=case.problem.candidates[::25])
    one, other = (DeviceBlock(problem, slice(None), "zero_one", Compute(), count) for count in (count_wrong, fused))
    for _ in range(2):
        np.testing.assert_array_equal(one.scores(), other.scores())
        assert one.undecided_pairs == other.undecided_pairs > 0
        accept([one, other], one._ids[one._n_alive - 1])
        torch.testing.assert_close(one._stored, other._stored, rtol=0, atol=0)
    np.testing.assert_array_equal(one.predictions, other.predictions)


@pytest.fixture(scope="module")
def large():
    """A case of three tiles of candidates, the last one short."""
    return make_case(8, n=2 * TILE_ROWS + 100, n_classes=12, n_labelled=12)


@pytest.mark.parametrize("score", SCORES)
class TestBlock:
    def test_scores_are_those_of_the_cpu(self, large, score):
        blocks = [Block(large.problem, slice(None), score, Compute()), device_block(large, score)]
        for _ in range(4):
            alive = blocks[0]._alive
            scores = [np.asarray(block.scores())[alive] for block in blocks]
            if score == "zero_one":
                # Products are rounded elsewhere, so that a point in a thousand may fall to the other side.
                assert np.abs(scores[0] - scores[1]).max() <= 2
            else:
                np.testing.assert_allclose(scores[0], scores[1], rtol=1e-3, atol=1e-3)
            accept(blocks, blocks[0].best().pool_index)
        np.testing.assert_allclose(blocks[0].predictions, blocks[1].predictions, atol=1e-5)

    @pytest.mark.parametrize(
        "options",
        [{"n_shards": 2}, {"n_shards": 3}, {"memory_limit": 0}, {"memory_limit": 10_000_000}],
        ids=str,
    )
    def test_shards_and_memory_change_nothing(self, large, score, options):
        expected, expected_predictions = self.run(large, score)
        picks, predictions = self.run(large, score, **options)
        assert picks == expected
        np.testing.assert_array_equal(predictions, expected_predictions)

    def run(self, case, score, n_shards=1, **share):
        tiles = [slice(start, start + TILE_ROWS) for start in range(0, len(case.problem.candidates), TILE_ROWS)]
        parts = [slice(part[0].start, part[-1].stop) for part in np.array_split(tiles, n_shards)]
        with threadpool_limits(1):
            blocks = [DeviceBlock(case.problem, part, score, Compute(**share)) for part in parts]
            picks = [pick_from(blocks) for _ in range(8)]
        return picks, blocks[-1].predictions

    @pytest.mark.parametrize("limit", [None, 0])
    def test_corrections_are_kept_for_rows_that_are_built_again(self, large, score, limit):
        check_what_is_kept(device_block(large, score, memory_limit=limit))

    def test_a_block_may_accept_its_own_candidate(self, large, score):
        one, other = device_block(large, score), device_block(large, score)
        for _ in range(3):
            best = one.best()
            one.accept(best.pool_index)
            other.accept(best.pool_index, other.column(best.pool_index))
        np.testing.assert_array_equal(one.scores(), other.scores())


def test_nothing_is_best_when_all_are_taken():
    block = device_block(make_case(0, n=5))
    for position in block._ids:
        assert block.best() is not None
        block.accept(position)
    assert block.best() is None


def test_a_column_keeps_no_tile_alive(large):
    block = device_block(large, memory_limit=0)
    column = block._column(next(iter(block._rows)))
    assert column.untyped_storage().nbytes() == column.nbytes


def test_a_limit_between_nothing_and_all_stores_some_tiles(large):
    assert 0 < device_block(large, memory_limit=10_000_000).stored_share < 1


def test_memory_of_the_last_round_is_free_although_torch_keeps_it(monkeypatch):
    # 10 GiB are another process's; of 90 GiB that torch keeps, 5 are still held by tensors.
    for name, gib in [("memory_reserved", 90), ("memory_allocated", 5)]:
        monkeypatch.setattr(torch.cuda, name, lambda device, gib=gib: gib * 2**30)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (40 * 2**30, 140 * 2**30))
    assert gpu.free_bytes(torch.device("cuda")) == 125 * 2**30


def test_a_device_out_of_memory_stores_nothing(large, monkeypatch):
    allocate = torch.empty

    def refuse_much(*size, **options):
        if size and size[0] == (len(large.problem.candidates), large.problem.n_points):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return allocate(*size, **options)

    monkeypatch.setattr(torch, "empty", refuse_much)
    block = gpu.make_block(large.problem, slice(None), "zero_one", Compute())
    assert block.stored_share == 0
    assert block.best() == device_block(large, memory_limit=0).best()


@pytest.mark.parametrize("kind", ["empirical", "analytic"])
@pytest.mark.parametrize("parameterisation", ["ntk", "standard"])
@pytest.mark.parametrize("bias", [True, False])
def test_kernel_is_that_of_the_cpu(kind, parameterisation, bias):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6))
    features[7] = 0
    network = draw_network(6, 32, 1, parameterisation=parameterisation, bias=bias, rng=rng)
    kernel = make_kernel(kind, network, features)
    there = kernel.moved(torch.as_tensor)
    rows = np.array([3, 7, 7, 20])
    np.testing.assert_allclose(there(rows, slice(None)).numpy(), kernel(rows, slice(None)), atol=1e-9)


@pytest.mark.parametrize("n_labelled", [1, 17])
def test_regression_is_that_of_the_cpu(n_labelled):
    rng = np.random.default_rng(0)
    features, labelled = rng.normal(size=(TILE_ROWS + 30, 6)), np.arange(n_labelled)
    network = draw_network(6, 32, 1, parameterisation="ntk", bias=True, rng=rng)
    kernel = make_kernel("analytic", network, features)
    arguments = (kernel, labelled, np.eye(3)[labelled % 3], rng.normal(size=(len(features), 3)))
    ridge = absolute_ridge(kernel, 1e-2)
    expected = condition(*arguments, ridge, Compute())
    for here, there in zip(expected, gpu.condition(*arguments, ridge, "cpu"), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-6)


@pytest.fixture
def double():
    """As a plug-in may set it for its whole process."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("score", SCORES)
def test_torchs_default_dtype_changes_nothing(score, request):
    def run():
        rng = np.random.default_rng(0)
        network = draw_network(6, 8, 1, parameterisation="ntk", bias=True, rng=rng)
        kernel = make_kernel("analytic", network, rng.normal(size=(200, 6)))
        block = device_block(make_case(3, n=200), score)
        for _ in range(3):
            accept([block], block.best().pool_index)
        targets, initial = np.eye(3)[[0, 1]], np.zeros((200, 3))
        return block.scores(), block.predictions, *gpu.condition(kernel, np.arange(2), targets, initial, 1e-3, "cpu")

    expected = run()
    request.getfixturevalue("double")
    for here, there in zip(expected, run(), strict=True):
        assert here.dtype == there.dtype
        np.testing.assert_array_equal(here, there)


def test_fused_kernels_compile_for_a_gpu_without_fused_products():
    pytest.importorskip("triton", reason="Triton is not installed")
    script = """
        from triton import compile
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource
        from strategies.functional.engine import fused

        INTEGERS = {"targets": "*i64", "labels": "*i64", "rival_class": "*i64",
                    "lost": "*i32", "n_open": "*i32", "listed": "*i32", "counts": "*i32",
                    "n_rows": "i32", "n_points": "i32", "n_classes": "i32", "room": "i32"}
        for kernel, constants in [
            (fused._scan, {"CORRECT": True, "ROWS": 4, "POINTS": 256}),
            (fused._scan, {"CORRECT": False, "ROWS": 4, "POINTS": 256}),
            (fused._settle, {"PAIRS": 128}),
        ]:
            names = kernel.arg_names
            types = {name: "constexpr" if name in constants else INTEGERS.get(name, "*fp32") for name in names}
            source = ASTSource(kernel, types, {(names.index(name),): value for name, value in constants.items()})
            for fusion in (False, True):
                ptx = compile(source, GPUTarget("cuda", 90, 32), {"enable_fp_fusion": fusion}).asm["ptx"]
                print(fusion, ptx.count("fma.rn") > 0)
    """
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    script = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    # That fusion shows where it is allowed proves that its absence would.
    assert done.stdout.split("\n")[:-1] == ["False False", "True True"] * 3
