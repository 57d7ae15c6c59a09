"""What holds it back: the profile's arithmetic, its words and its picture, and the real SmolLM2 under it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock
from xml.etree import ElementTree

import pytest
from PIL import Image
from support import ROOT

from bench_deepspeed.benchmarks.run import profile as profile_report
from bench_deepspeed.benchmarks.run import step
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.engines.fake import FakeEngine
from bench_deepspeed.measure.records import Prefill, Profile, Result, Sample, Scenario, Share
from bench_deepspeed.report import terminal
from bench_deepspeed.worker import profiling
from bench_deepspeed.worker.profiling import Observed, observed, union_length

PROMPT = "Write an essay about the transformer model architecture"


def profile(**changes) -> Profile:
    """A decode step of 10 ms in which the GPU is busy for 6."""
    kernels = [Share("nvjet_hsh_64x8_64x16_1x1_v_bz_splitK_NNT", 4e-3, 128), Share("void rms_norm<__half>", 2e-3, 65)]
    return dataclasses.replace(Profile("decode", "cuda", 9, 32, 10e-3, 6e-3, kernels, []), **changes)


def test_what_noise_turned_round_is_not_measured():
    longer, shorter = Observed(2.0, 0.5), Observed(1.0, 0.25)
    assert profiling._busy_time(longer, shorter, 5, 2.0) == 0.1
    assert profiling._busy_time(shorter, longer, 5, 2.0) is None
    assert profiling._busy_time(longer, Observed(1.0, None), 5, 1.0) is None
    assert [profiling._scale("cpu", *steps) for steps in ((1.0, 2.0), (-1.0, 2.0), (1.0, 0.0))] == [0.5, None, None]
    assert profiling._scale("cuda", 1.0, 2.0) == 1.0


def test_a_step_is_the_median_difference_by_steps():
    seconds = iter([50.0, 1.0, 5.0, 2.0, 4.0, 1.0, 9.0, 1.0, 2.0, 3.0, 7.0])  # a warm-up; differences 4, 2, 8, 1, 4
    phase = profiling.Phase("decode", PROMPT, 9, 1)
    found = profiling._step_time(lambda prompt, tokens: Sample(next(seconds), tokens, tokens), phase)
    assert found == (9, 4.0 / 8)


def test_a_prefill_that_was_timed_is_not_timed_again(monkeypatch):
    monkeypatch.setattr(profiling, "_trace", lambda *_: profiling.Observed(0.3, 0.2))
    monkeypatch.setattr(profiling, "_host", lambda *_: profiling.Observed())
    measured = Prefill(512, [0.2, 0.4, 0.3])
    generate = Mock(side_effect=AssertionError("timed again"))
    (found,) = profiling.profile(FakeEngine(), generate, "cpu", prompt=PROMPT, max_tokens=1, prefill=measured)
    assert (found.phase, found.prompt_tokens, found.step_s) == ("prefill", 512, 0.3)


def test_union_is_what_counting_says():
    rng = random.Random(1)
    for _ in range(50):
        starts = [rng.randrange(100) for _ in range(rng.randrange(12))]
        intervals = [(start, start + rng.randrange(20)) for start in starts]
        covered = {moment for start, end in intervals for moment in range(start, end)}
        assert union_length(intervals) == len(covered)


def event(name: str, start: float, end: float, **changes) -> SimpleNamespace:
    span = SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start)
    facts = {"is_user_annotation": False, "is_async": False, "self_cpu_time_total": 1.0, **changes}
    return SimpleNamespace(name=name, time_range=span, **facts)


def test_gpu_is_busy_once_where_two_streams_overlap_and_not_while_it_waits():
    events = [
        event("gemm", 0, 100),
        event("Memcpy DtoD", 50, 150),
        event("gemm", 200, 300, is_async=True),
        event("Event Sync", 300, 900),
        event("a range of somebody's", 0, 1000, is_user_annotation=True),
    ]
    found = observed(events, on_gpu=True, wall_s=1.0)
    assert found.busy_s == pytest.approx(250e-6)
    assert dict(found.seconds) == pytest.approx({"gemm": 200e-6, "Memcpy DtoD": 100e-6})
    assert dict(found.calls) == {"gemm": 2, "Memcpy DtoD": 1}
    assert observed(events[3:], on_gpu=True, wall_s=1.0).busy_s is None


def test_operators_count_their_own_time_and_nested_ones_once():
    events = [event("aten::linear", 0, 100, self_cpu_time_total=10), event("aten::mm", 5, 95, self_cpu_time_total=90)]
    found = observed([*events, event("later", 50, 500, is_async=True)], on_gpu=False, wall_s=1.0)
    assert found.busy_s == pytest.approx(100e-6)
    assert dict(found.seconds) == pytest.approx({"aten::linear": 10e-6, "aten::mm": 90e-6})


def test_shares_are_what_the_longer_generation_had_more():
    base, whole = Observed(), Observed()
    for seen, steps in ((base, 0), (whole, 4)):
        seen.add("prefill only", 9.0, 3)
        seen.add("in every step", 2.0 + 0.5 * steps, 1 + 2 * steps)
    whole.add("in some steps", 4.0, 2)
    shares = whole.shares(base, 4, scale=0.5)
    assert shares == [Share("in some steps", 0.5, 0.5), Share("in every step", 0.25, 2.0)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "host-bound: the GPU idles 40% of each decode step"),
        ({"phase": "prefill"}, "host-bound: the GPU idles 40% of the prefill"),
        ({"busy_s": 9e-3}, "GPU-bound: the GPU works 90% of each decode step, matrix products take 60%"),
        ({"busy_s": 8e-3}, "GPU-bound: the GPU works 80% of each decode step, matrix products take 53%"),
        ({"busy_s": 11e-3}, "GPU-bound: the GPU works 100% of each decode step, matrix products take 67%"),
        (
            {"device": "cpu", "busy_s": 9e-3},
            "compute: matrix products take 60% of each decode step, Python and the framework 10%",
        ),
        (
            {"device": "cpu"},
            "host-bound: Python and the framework take 40% of each decode step, matrix products take 40%",
        ),
        ({"busy_s": None, "kernels": []}, "not measured"),
        ({"busy_s": 0.0, "kernels": []}, "not measured"),
        ({"step_s": -1e-6}, "not measured"),
    ],
)
def test_the_state_is_named(changes, words):
    assert step.bottleneck(profile(**changes)) == words


@pytest.mark.parametrize(
    ("title", "names"),
    [
        (
            "matrix products",
            "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT|aten::mm|aten::addmm|aten::linear|ampere_fp16_s16816gemm_fp16_64x64"
            "|void cutlass::Kernel2<cutlass_80_tensorop_s16816gemm>|void gemv2T_kernel_val<int, int, __half>"
            "|void cublasLt::splitKreduce_kernel<32, 16, int, float>",
        ),
        (
            "attention",
            "void flash_fwd_kernel<Flash_fwd_kernel_traits<64, cutlass::half_t>>"
            "|void kv_rotary_pos_kernel<__half, 1, 128>|fmha_cutlassF_f16_aligned_64x64_rf_sm80"
            "|aten::_scaled_dot_product_flash_attention_for_cpu",
        ),
        ("norm", "void rms_norm<__half, 1, 4>|void pre_rms_norm<__half>|void fused_residual_ln<__half>"),
        (
            "sampling",
            "void at_cuda_detail::cub::DeviceRadixSortOnesweepKernel<>|void at::native::radixSortKVInPlace<2>"
            "|aten::argmax|aten::cumsum|void at::native::tensor_kernel_scan_innermost_dim<float>|aten::topk"
            "|aten::_softmax",
        ),
        (
            "copies",
            "Memcpy DtoH (Device -> Pageable)|Memset (Device)|void ragged_embed_kernel<__half>"
            "|void logits_gather_kernel<>"
            "|void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda>|aten::cat|aten::copy_"
            "|void at::native::CatArrayBatchedCopy<>|aten::index_select|aten::embedding|aten::_to_copy",
        ),
        (
            "elementwise",
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>|aten::mul|aten::div_"
            "|void gated_activation_kernel<__half, 3>|void at::native::reduce_kernel<512, 1, at::native::MeanOps>",
        ),
        (
            "all-reduces",
            "ncclDevKernel_AllReduce_Sum_f16_RING_LL(ncclDevKernelArgsStorage<4096ul>)|c10d::allreduce_|RowParallel"
            "|deepspeed::inference_all_reduce_|_c10d_functional::wait_tensor",
        ),
        ("other", "aten::empty|aten::view|aten::t|a_kernel_of_tomorrow|aten::transpose|aten::allocate"),
    ],
)
def test_families_know_the_names_of_their_kernels(title, names):
    assert {name: step.family(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), title)


def test_families_fill_the_busy_time_though_streams_overlap():
    assert step.families(profile(busy_s=3e-3)) == pytest.approx({"matrix products": 2e-3, "norm": 1e-3})


def test_no_part_is_larger_than_the_step_whatever_the_profiler_added():
    assert sum(step.families(profile(busy_s=12e-3)).values()) == pytest.approx(profile().step_s)


def test_text_shows_every_part_and_the_largest():
    functions = [Share(f"module.py:f{number}", 1e-3 / number, number) for number in range(1, 20)]
    blocks = profile_report.blocks([profile(host_functions=functions)])
    shown = terminal.render(blocks, profile_report.FILE_WIDTH)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines() if "|" in line]
    rows = {row[0]: row[1:] for row in cells}
    assert "decode: 10.00 ms a step" in shown
    assert step.bottleneck(profile()) in shown
    assert rows["matrix products"] == ["4.000", "40%"]
    assert rows["GPU idle (waits for the host)"] == ["4.000", "40%"]
    assert rows["void rms_norm<__half>"] == ["2.000", "65"]
    assert "module.py:f10 " in shown
    assert "module.py:f11 " not in shown


def test_pictures_are_whole_and_say_what_they_show(tmp_path):
    profiles = [profile(), profile(phase="prefill", busy_s=9.5e-3)]
    profile_report.write(tmp_path, profiles, "Llama & co <7B> · mii")
    with Image.open(tmp_path / "profile.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.getpixel((0, 0))[3] == 0  # transparent
    drawn = "\n".join(ElementTree.parse(tmp_path / "profile.svg").getroot().itertext())
    for words in (
        "Llama & co <7B> · mii",
        "host-bound: the GPU idles 40% of each decode step",
        "matrix products",
        "GPU idle (waits for the host)",
        "40%",
        "GPU-bound: the GPU works 95% of the prefill, matrix products take 63%",
    ):
        assert words in drawn
    assert (tmp_path / "profile.txt").read_text().startswith("Llama & co <7B> · mii\n\ndecode: 10.00 ms")


def test_the_same_profile_is_the_same_svg_and_names_no_folder(tmp_path):
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        profile_report.write(tmp_path / name, [profile(busy_s=None, kernels=[])], "Title")
        texts.append((tmp_path / name / "profile.svg").read_text())
    assert texts[0] == texts[1]
    assert "not measured" in texts[0]
    assert [path for path in (str(tmp_path), str(ROOT), str(Path.home())) if path != "/" and path in texts[0]] == []


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(MachineError, match="cannot write the profile"):
        profile_report.write(tmp_path / "none", [profile()], "Title")


def test_profiles_outlive_the_json(tmp_path):
    scenario = Scenario("smollm2", "fake", "cpu", "float32", "pretrained", PROMPT, 8, 1, 1, 0, 0)
    Result(scenario, profiles=[profile(), profile(busy_s=None)]).save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json").profiles == [profile(), profile(busy_s=None)]
