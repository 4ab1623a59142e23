"""Where the networks run: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`, and how much room there is."""

import gc
import platform
from pathlib import Path

import psutil
import torch

from pipelines.core.error import InvalidRequest


def resolve_device(wanted: str) -> torch.device:
    """`wanted` as a device of this machine; `auto` takes CUDA, then MPS, then the CPU.

    Raises InvalidRequest when this machine has no such device.
    """
    match wanted.split(":"):
        case ["auto"]:
            return _best()
        case ["cpu"]:
            return torch.device("cpu")
        case ["cuda"] if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        case ["cuda", number] if number.isdecimal() and int(number) < torch.cuda.device_count():
            return torch.device("cuda", int(number))
        case ["mps"] if torch.backends.mps.is_available():
            return torch.device("mps", 0)
    raise InvalidRequest(f"There is no device {wanted!r} here", fix=f"use {', '.join(_present())}", field="device")


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps", 0) if torch.backends.mps.is_available() else torch.device("cpu")


def _present() -> list[str]:
    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    return ["auto", "cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def device_label(device: torch.device) -> str:
    """What people call it: `NVIDIA RTX 4070`, `CPU (AMD EPYC ...)`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"CPU ({name})" if (name := _cpu_name()) else "CPU"


def memory(device: torch.device) -> tuple[int, int]:
    """(used, total) bytes: of the GPU, or of the machine's memory for CPU and MPS."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    machine = psutil.virtual_memory()
    return machine.total - machine.available, machine.total


def held(device: torch.device) -> int:
    """Bytes that this process has taken from the device, whether it uses them just now or not; 0 for the CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return int(torch.mps.driver_allocated_memory()) if device.type == "mps" else 0


def unused(device: torch.device) -> int:
    """Bytes that are free, and those that this process has taken from the device without using them."""
    used, total = memory(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    return max(0, total - used) + kept


def give_back(device: torch.device) -> None:
    """What nobody uses any more goes back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _cpu_name() -> str:
    """From /proc/cpuinfo: `platform.processor` is empty or `x86_64` on most Linux systems."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = (line.partition(":") for line in info.read_text(encoding="utf-8", errors="replace").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), "")
