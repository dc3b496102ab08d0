"""What the blocked statement's own text says (`--source`), where stacks are the same.

The text is one statement of Go as `collect.source` cuts it: of a loop only its head, of a select all its cases.
"""

from __future__ import annotations

import re

RANGE_LOOP = re.compile(r"\bfor\b[^{\n]*\brange\b")
TICK = re.compile(r"\.C\b|\btime\.Tick\(|\btime\.After\(|[tT]icker|\btick\b")
DONE = re.compile(r"\.Done\(\)")
EXIT = re.compile(
    r"\.Done\(\)|<-\s*[\w.]*(?:done|stop|quit|exit|clos|shutdown|cancel|time\.After|timeout)", re.IGNORECASE
)
"""A case that ends a loop: a context's Done, or a channel named for it."""

TOKEN = re.compile(r"<-\s*(?:struct\{\}\{\}|true\b)")
"""A value that says nothing is sent: it takes a slot."""

EMPTY_LOOP = re.compile(r"\bfor\b[^{\n]*\{\s*\}")
"""A loop with nothing in it: whatever ends it, it waits by burning a processor."""
