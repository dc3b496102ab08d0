"""Errors a user can do something about: code, message, context, next step."""

from __future__ import annotations

from parkwarden.model.finding import Exit


class ParkwardenError(Exception):
    """Base of all errors that are the user's to read.

    `code` is stable kebab-case, `message` one sentence, `context` the facts (already safe to print), `hint` the next
    step. `exit_code` is what a command that fails with it exits with.
    """

    exit_code: Exit = Exit.UNREADABLE

    def __init__(self, code: str, message: str, *, context: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = context
        self.hint = hint


class FormatError(ParkwardenError):
    """The input is not what its reader reads: wrong magic, unsupported version."""


class LimitError(ParkwardenError):
    """A named limit was passed: too many bytes, too deep, too long."""


class UnreachableError(ParkwardenError):
    """A live target did not answer."""

    exit_code = Exit.UNREACHABLE


class UsageError(ParkwardenError):
    """The command line does not make sense."""

    exit_code = Exit.USAGE


class StoreError(ParkwardenError):
    """What must outlive the process could not be kept or read: disk full, read-only, locked, corrupt, database away.

    `passing` says that the same call may succeed later without anybody's doing (locked, disk full, database away).
    """

    exit_code = Exit.UNREADABLE

    def __init__(self, code: str, message: str, *, context: str = "", hint: str = "", passing: bool = False) -> None:
        super().__init__(code, message, context=context, hint=hint)
        self.passing = passing
