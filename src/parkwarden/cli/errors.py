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
