"""``cupy.cuda``: one device, streams with pointers, and what the runtime is asked for."""

from __future__ import annotations

import itertools
import threading
import types
from typing import Any

import numpy as np

from .transfers import record

_current = threading.local()
_pointers = itertools.count(0x1000, 0x100)
_MEMORY = 8 << 30


class Device:
    """The only device, number 0."""

    def __init__(self, device: Any = 0) -> None:
        self.id = int(getattr(device, "id", 0 if device is None else device))
        if self.id != 0:
            raise ValueError(f"device {self.id} does not exist; the stand-in has device 0 only")

    mem_info = property(lambda self: (_MEMORY, _MEMORY))
    compute_capability = property(lambda self: "80")

    def use(self) -> None:
        """It is always in use."""

    def synchronize(self) -> None:
        record("sync", "Device.synchronize")

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *exc: Any) -> None:
        """One device: nothing to restore."""

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class MemoryPointer:
    """Address of an array, as ``x.data.ptr``."""

    def __init__(self, payload: np.ndarray) -> None:
        self.ptr = payload.__array_interface__["data"][0]
        self.device_id = 0

    device = property(lambda self: Device(0))


class Stream:
    """Work is done at once; a stream has a pointer of its own and can be made current in its thread."""

    null: Stream
    ptds: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None):
        self.ptr = 0 if null else 2 if ptds else next(_pointers)
        self.is_non_blocking = non_blocking
        self.priority = priority
        self.done = True

    def use(self) -> Stream:
        _stack()[-1] = self
        return self

    def synchronize(self) -> None:
        record("sync", "Stream.synchronize")

    def record(self, event: Any = None) -> Event:
        return event or Event()

    def wait_event(self, event: Any) -> None:
        """The event has happened."""

    def __enter__(self) -> Stream:
        _stack().append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        _stack().pop()


class ExternalStream(Stream):
    """A stream made elsewhere, by its pointer."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        super().__init__()
        self.ptr = int(ptr)


class Event:
    """An event has happened as soon as it is recorded."""

    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.ptr = next(_pointers)

    def record(self, stream: Any = None) -> None:
        """Nothing is pending."""

    def synchronize(self) -> None:
        record("sync", "Event.synchronize")


class MemoryPool:
    """An empty pool: the host's allocator does the work."""

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("the stand-in does not provide cupy.cuda.MemoryPool.malloc")

    def free_all_blocks(self, stream: Any = None) -> None:
        """Nothing is held."""

    def used_bytes(self) -> int:
        return 0

    total_bytes = free_bytes = n_free_blocks = get_limit = used_bytes

    def set_limit(self, size: Any = None, fraction: Any = None) -> None:
        """Nothing to limit."""


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)
POOL = MemoryPool()


def _stack() -> list[Stream]:
    if not hasattr(_current, "stack"):
        _current.stack = [Stream.null]
    return _current.stack


def get_current_stream(device_id: int = -1) -> Stream:
    return _stack()[-1]


class CUDARuntimeError(RuntimeError):
    """Never raised here; code may catch it."""


runtime = types.SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    deviceSynchronize=lambda: record("sync", "deviceSynchronize"),
    driverGetVersion=lambda: 13000,
    getDevice=lambda: 0,
    getDeviceCount=lambda: 1,
    getDeviceProperties=lambda device: {"name": b"CPU stand-in", "major": 8, "minor": 0, "totalGlobalMem": _MEMORY},
    is_hip=False,
    memGetInfo=lambda: (_MEMORY, _MEMORY),
    runtimeGetVersion=lambda: 13000,
    setDevice=Device,
)


def contents() -> dict[str, Any]:
    """The names of the module ``cupy.cuda``."""
    return {
        "Device": Device,
        "Event": Event,
        "ExternalStream": ExternalStream,
        "MemoryPointer": MemoryPointer,
        "MemoryPool": MemoryPool,
        "Stream": Stream,
        "get_current_stream": get_current_stream,
        "get_device_id": lambda: 0,
        "get_elapsed_time": lambda start_event, end_event: 0.0,
        "is_available": lambda: True,
        "runtime": runtime,
        "set_allocator": lambda allocator=None: None,
    }
