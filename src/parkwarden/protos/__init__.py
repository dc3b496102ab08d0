"""Wire formats of others that are protobuf: our own .proto files and what `tools/gen_protos.py` makes of them.

Import a generated module only where bytes are read or written, and lazily: protobuf costs 30 ms of a start.
"""
