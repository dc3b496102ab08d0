"""Readers: bytes -> records + problems, one module per artefact format. Pure: no files, sockets, clocks or threads.

Every reader module offers `sniff(head: bytes) -> bool` (is this mine? judged by content, never by name) and
`read(data: bytes, name: str = "") -> Artefact`.
"""
