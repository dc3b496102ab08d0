"""Compiled hot loops over bytes: written for numba, kept as machine code, loaded without numba.

Importing numba costs 0.2-0.7 s and 90-190 MB in every process, which an engineer in front of an incident would pay
each time. So a kernel is compiled once (`make setup`, `python -m parkwarden.kernels`), its object code kept in the
user's cache, and later loaded by llvmlite alone: about 50 ms and 50 MB. Without a cache (first use after an upgrade)
`load` compiles, which takes seconds, and keeps the result.

A kernel module `kernels/NAME.py` holds `KERNELS: dict[str, tuple[function, str]]`: a function in numba's subset and
its signature, a comma-separated list of `u8* i32* i64* u64* f32* f64* i64` (pointers are C-contiguous arrays; the result
is always int64). Kernels allocate nothing, call nothing (a loop that only copies becomes a `memmove`, which
is not linked) and raise nothing: they fill arrays given to them and return a number. They
run without the GIL, so two threads can run two of them. See docs/decisions/0002-kernels.md.

Limits: kernels trust the lengths they are given, so `Kernel.__call__` checks type and layout of every array.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

_POINTERS = {
    "u8*": np.uint8, "i32*": np.int32, "i64*": np.int64, "u64*": np.uint64, "f32*": np.float32, "f64*": np.float64,
}  # fmt: skip
_MAGIC = b"parkwarden kernel 1\n"
_loaded: dict[str, dict[str, Kernel]] = {}
_engines: list[Any] = []  # the machine code lives as long as its engine


class Kernel:
    """One compiled function. Arguments: NumPy arrays for pointers (bytes-like for `u8*`), ints for `i64`."""

    __slots__ = ("_args", "_call", "name")

    def __init__(self, name: str, address: int, args: list[str]) -> None:
        self.name = name
        self._args = args
        types = [ctypes.c_int64 if a == "i64" else ctypes.c_void_p for a in args]
        self._call = ctypes.CFUNCTYPE(ctypes.c_int64, *types)(address)

    def __call__(self, *values: Any) -> int:
        return self.bound(*values)()

    def bound(self, *values: Any) -> Callable[[], int]:
        """The call with these arguments, for who makes it again and again: they are checked, and their addresses asked for, once."""
        if len(values) != len(self._args):
            raise TypeError(f"kernel {self.name} takes {len(self._args)} arguments, got {len(values)}")
        passed: list[int] = []
        alive: list[Any] = []
        for kind, value in zip(self._args, values, strict=True):
            if kind == "i64":
                passed.append(int(value))
                continue
            array = value if isinstance(value, np.ndarray) else np.frombuffer(value, dtype=np.uint8)
            if array.dtype != _POINTERS[kind] or not array.flags.c_contiguous:
                raise TypeError(f"kernel {self.name} wants a contiguous {kind}, got {array.dtype}")
            alive.append(array)
            passed.append(_address(array))
        return partial(_called, self._call, passed, alive)


def _address(array: np.ndarray) -> int:
    """Where it begins: `ctypes.data` says it of any array, and takes four times as long, which is most of a small call."""
    if array.nbytes and array.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    return int(array.ctypes.data)


def _called(call: Callable[..., int], passed: list[int], alive: list[Any]) -> int:
    """`alive` are the arrays that `passed` points into."""
    return call(*passed)


def load(name: str, announce: Callable[[str], None] | None = None) -> dict[str, Kernel]:
    """The kernels of `kernels/NAME.py` by function name; compiled and cached first where needed.

    `announce` is told a sentence before a compilation, since that takes seconds.
    """
    if name not in _loaded:
        path = _cache_path(name)
        stored = _read(path)
        if stored is None:
            if announce is not None:
                announce(f"compiling {name} once (a few seconds) ...")
            stored = _compile(name)
            _write(path, *stored)
        _loaded[name] = _link(*stored)
    return _loaded[name]


def is_compiled(name: str) -> bool:
    """Whether `load(name)` finds its machine code in the cache; compiles and links nothing."""
    return name in _loaded or _read(_cache_path(name)) is not None


def names() -> list[str]:
    """All kernel modules."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def cache_dir() -> Path:
    """Where object code is kept: PARKWARDEN_CACHE_DIR, else the user's cache folder."""
    explicit = os.environ.get("PARKWARDEN_CACHE_DIR")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "parkwarden" / "kernels"


def _source(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")


def _cache_path(name: str) -> Path:
    """The file's name holds everything the machine code depends on: source, compiler, processor."""
    import llvmlite
    import llvmlite.binding as llvm

    key = hashlib.sha256()
    for part in (
        _MAGIC,
        _source(name).read_bytes(),
        *(p.read_bytes() for p in sorted(_source(name).parent.glob("_[!_]*.py"))),  # what kernel modules share
        llvmlite.__version__.encode(),
        _version("numba").encode(),
        llvm.get_host_cpu_name().encode(),
        llvm.get_host_cpu_features().flatten().encode(),
        llvm.get_process_triple().encode(),
    ):
        key.update(len(part).to_bytes(8, "little") + part)
    return cache_dir() / f"{name}-{key.hexdigest()[:24]}.kernel"


def _version(package: str) -> str:
    """An installed package's version from its folder's name: importlib.metadata would take 12 ms of each start."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    return ",".join(sorted(p.name for p in Path(spec.origin).parents[1].glob(f"{package}-*.dist-info")))


def _compile(name: str) -> tuple[dict[str, Any], bytes]:
    """Machine code of all functions of one kernel module, in one object."""
    import numba
    from numba import types

    atoms = {
        "u8*": types.CPointer(types.uint8),
        "i32*": types.CPointer(types.int32),
        "i64*": types.CPointer(types.int64),
        "u64*": types.CPointer(types.uint64),
        "f32*": types.CPointer(types.float32),
        "f64*": types.CPointer(types.float64),
        "i64": types.int64,
    }
    module = importlib.import_module(f"{__name__}.{name}")
    functions: dict[str, Any] = {}
    blob = b""
    for function, (code, signature) in module.KERNELS.items():
        args = [a.strip() for a in signature.split(",")]
        compiled = numba.cfunc(types.int64(*(atoms[a] for a in args)), error_model="numpy", nogil=True)(code)
        data = compiled._library._get_compiled_object()
        functions[function] = {
            "symbol": compiled.native_name,
            "args": args,
            "offset": len(blob),
            "size": len(data),
        }
        blob += data
    return functions, blob


def _link(functions: dict[str, Any], blob: bytes) -> dict[str, Kernel]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    kernels: dict[str, Kernel] = {}
    for function, entry in functions.items():
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        data = blob[entry["offset"] : entry["offset"] + entry["size"]]
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        engine.finalize_object()
        _engines.append(engine)
        kernels[function] = Kernel(function, engine.get_function_address(entry["symbol"]), entry["args"])
    return kernels


def _read(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """The stored code, or None where it is absent, damaged, or could have been written by somebody else."""
    try:
        status = path.stat()
        if hasattr(os, "getuid") and (status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022):
            return None
        raw = path.read_bytes()
    except OSError:
        return None
    if not raw.startswith(_MAGIC):
        return None
    digest, _, rest = raw[len(_MAGIC) :].partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        return None
    head, _, blob = rest.partition(b"\n")
    return json.loads(head), blob


def _write(path: Path, functions: dict[str, Any], blob: bytes) -> None:
    """Keep the code; a cache that cannot be written costs the next process a compilation, nothing else."""
    rest = json.dumps(functions).encode() + b"\n" + blob
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(_MAGIC + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        Path(file.name).replace(path)
    except OSError as error:
        print(f"parkwarden: cannot keep compiled code in {path.parent}: {error}", file=sys.stderr)
