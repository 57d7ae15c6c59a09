"""The tools. Importing this imports none of them."""

from __future__ import annotations

from pkgutil import resolve_name

from .base import Tool

TOOLS = {
    "ours": "bench_deepspeed.benchmarks.referee.tools.ours:Ours",
    "guidellm": "bench_deepspeed.benchmarks.referee.tools.guidellm:GuideLlm",
    "aiperf": "bench_deepspeed.benchmarks.referee.tools.aiperf:AiPerf",
    "inference-perf": "bench_deepspeed.benchmarks.referee.tools.inference_perf:InferencePerf",
    "llama-benchy": "bench_deepspeed.benchmarks.referee.tools.llama_benchy:LlamaBenchy",
}
"""Name of a flag → its class."""
OURS = "ours"


def tool(name: str) -> Tool:
    """The tool of that name. Raises KeyError where there is none."""
    made: Tool = resolve_name(TOOLS[name])()
    return made
