"""Benchmarks: ours against a plainly written baseline, timed in turns in the same run; ratios, never limits."""

from roadstill.bench.agent import bench_agent
from roadstill.bench.data import bench_index, bench_prepare
from roadstill.bench.distil import bench_distil
from roadstill.bench.edm import bench_edm
from roadstill.bench.generator import bench_encode, bench_finetune, bench_memory, bench_sample
from roadstill.bench.selection import bench_select
from roadstill.bench.timing import Row, table
from roadstill.bench.world import bench_world

__all__ = [
    "Row", "bench_agent", "bench_distil", "bench_edm", "bench_encode", "bench_finetune", "bench_index", "bench_memory",
    "bench_prepare", "bench_sample", "bench_select", "bench_world", "table",
]  # fmt: skip
