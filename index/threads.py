"""Threads: how many cores this process may use, told once to every library that counts for itself.

Three pools meet here: FAISS's, that of numpy's BLAS, and torch's. Each takes all cores of the
machine by itself, also where a container allows this process only some of them. What
OMP_NUM_THREADS says holds. ONNX Runtime is given a thread for each text (`onnx_bert.py`).
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

# Kernels of OpenBLAS without AVX2: on a processor that has it they are several times too slow.
_OLD_KERNELS = frozenset(
    "generic katmai coppermine northwood prescott banias core2 penryn dunnington atom nehalem "
    "barcelona bobcat bulldozer sandybridge".split()
)
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_CPU_INFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def cores() -> int:
    """The cores that this process may use: OMP_NUM_THREADS, affinity, the container's quota."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told):
        return int(told)
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(found or 1, _quota()))


@lru_cache(maxsize=1)
def settle() -> None:
    """Give FAISS and numpy as many threads as there are cores; only the first call does."""
    import faiss
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(cores())
    threadpool_limits(limits=cores(), user_api="blas")


def pools() -> list[dict[str, Any]]:
    """The libraries that are loaded now and have threads of their own: name, kernels, threads."""
    from threadpoolctl import threadpool_info

    return [
        {
            "of": Path(pool["filepath"]).parent.name.split(".")[0],
            "library": f"{pool['internal_api']} {pool.get('version') or ''}".strip(),
            "kernels": pool.get("architecture", ""),
            "threads": pool["num_threads"],
        }
        for pool in threadpool_info()
    ]


def slow(pool: dict[str, Any]) -> bool:
    """Whether a BLAS took kernels that waste this processor."""
    return str(pool["kernels"]).lower() in _OLD_KERNELS and _has_avx2()


def _has_avx2() -> bool:
    try:
        return " avx2 " in _CPU_INFO.read_text()
    except OSError:
        return False


def _quota() -> int:
    """The cores that a Linux container is allowed; very many where nothing limits it."""
    try:
        quota, period = _CPU_MAX.read_text().split()[:2]
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return 1 << 16
