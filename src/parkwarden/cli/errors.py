"""How an error is shown: what, where, and the next step."""

from __future__ import annotations

import sys

from parkwarden.model.errors import ParkwardenError


def show(error: ParkwardenError) -> None:
    """Three short lines on stderr; context comes from inputs and is made inert first."""
    from parkwarden.report.safe import inert

    print(f"error[{error.code}]: {inert(error.message)}", file=sys.stderr)
    if error.context:
        print(f"  {inert(error.context)}", file=sys.stderr)
    if error.hint:
        print(f"  next: {inert(error.hint)}", file=sys.stderr)


def internal(error: Exception) -> ParkwardenError:
    """A bug of Parkwarden's own, as an error a user can pass on."""
    return ParkwardenError(
        "internal",
        f"this is a bug of Parkwarden: {type(error).__name__}: {error}",
        hint="run it again with PARKWARDEN_DEBUG=1 for the details, and report them",
    )
