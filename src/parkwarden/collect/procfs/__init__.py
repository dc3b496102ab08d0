"""Local depth: what the host tells of a process that runs on it, or in a pid namespace shared with it (a sidecar).

Only /proc, /sys/fs/cgroup and netlink are read, never the process itself: it is neither asked nor stopped. Linux only; elsewhere, and
where things are hidden or refused, what is missing is said (`Local.problems`) and the rest is told.
"""

from parkwarden.collect.procfs.owner import Listening, command_line, listening, owner_of, ports_of, process_of
from parkwarden.collect.procfs.process import look, reading

__all__ = ["Listening", "command_line", "listening", "look", "owner_of", "ports_of", "process_of", "reading"]
