"""Makes src/parkwarden/protos/*_pb2.py and *_pb2.pyi of the .proto files beside them.

    python tools/gen_protos.py            # after a change of a .proto
    python tools/gen_protos.py --check    # exit 1 if what is committed is of other .proto files

The check compares what is described, not the text of the generated files, which changes with every version of protoc.
"""

from __future__ import annotations

import importlib
import importlib.resources
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

SOURCES = Path(__file__).resolve().parent.parent / "src"
PROTOS = SOURCES / "parkwarden" / "protos"


def protoc(*arguments: str) -> None:
    """Run the compiler of grpcio-tools over all our .proto files."""
    files = sorted(str(path.relative_to(SOURCES)) for path in PROTOS.glob("*.proto"))
    known = importlib.resources.files("grpc_tools") / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCES}", f"-I{known}", *arguments, *files]
    subprocess.run(command, cwd=SOURCES, check=True)


def outdated() -> list[str]:
    """The .proto files that their generated modules do not describe."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "described"
        protoc(f"--descriptor_set_out={path}")
        described = FileDescriptorSet.FromString(path.read_bytes())
    for file in described.file:
        for message in file.message_type:
            _bare(message)
    return [file.name for file in described.file if _generated(file.name) != file]


def _generated(name: str) -> FileDescriptorProto | None:
    module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
    try:
        descriptor = importlib.import_module(module).DESCRIPTOR
    except ImportError:
        return None
    return FileDescriptorProto.FromString(descriptor.serialized_pb)


def _bare(message: DescriptorProto) -> None:
    """Without the names for JSON, which protoc derives and generated modules leave out."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _bare(nested)


def main() -> int:
    if "--check" in sys.argv[1:]:
        old = outdated()
        for name in old:
            print(f"{name}: its generated module is of another version of it: run python tools/gen_protos.py")
        return bool(old)
    protoc(f"--python_out={SOURCES}", f"--pyi_out={SOURCES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
