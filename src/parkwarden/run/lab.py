"""The lab: real Go services that break in known ways. Built, started on the loopback, loaded, and always cleaned up.

    for lab in labs(): print(lab.name, lab.story)
    run_lab("transcoder", Path("out/transcoder"))          # files an operator would have saved
    with running("leaks") as service: ...                  # a service to look at; service.url, service.pid

Nothing outlives the call: every process is in a group of its own, and the groups are killed on the way out, Ctrl-C and
SIGTERM included. Nothing is written into the user's folder before all files of a run are there.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parkwarden.collect.limits import Tell
from parkwarden.model.errors import UsageError
from parkwarden.run._lab_build import build_lab
from parkwarden.run._lab_catalog import Lab, find_lab, labs
from parkwarden.run._lab_process import LabProcess, start_service, terminated_like_interrupted
from parkwarden.run._lab_scenarios import SCENARIOS, LabRun

__all__ = ["Lab", "LabProcess", "LabResult", "find_lab", "labs", "run_lab", "running"]

MIN_SECONDS, MAX_SECONDS = 4, 300
"""Shorter, and the files could not be saved in time; longer is no laptop's demonstration any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabResult:
    """What one run left behind."""

    lab: Lab
    folder: Path
    files: tuple[tuple[str, int], ...]
    """Names and bytes, in the order of `Lab.saves`."""
    notes: tuple[str, ...]
    """What happened, a line each."""
    seconds: float


def _silent(_what: str, _fraction: float | None) -> None:
    pass


def run_lab(
    name: str,
    out: Path,
    *,
    force: bool = False,
    seconds: float | None = None,
    pattern: str | None = None,
    innocent: bool = False,
    tell: Tell = _silent,
    hold: Callable[[LabProcess, LabResult], None] | None = None,
) -> LabResult:
    """Run one lab from build to clean-up; its files end up in `out`.

    `out` must be empty or missing unless `force`, which replaces files of the same names and leaves others alone.
    `hold(service, result)` is called with the service still up (started again if it died) once the files are in `out`;
    the service ends when it returns.
    Raises UsageError (unknown lab, folder not empty, no Go), UnreachableError (modules), ParkwardenError (build, death).
    """
    lab = find_lab(name)
    patterns = _patterns(lab, pattern, innocent)
    length = _length(lab, seconds)
    check_folder(out, force)
    began = time.monotonic()
    with terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="parkwarden-lab-") as scratch:
        stage, logs = Path(scratch, "stage"), Path(scratch, "logs")
        stage.mkdir()
        logs.mkdir()
        tell(f"{lab.name}: building with Go", None)
        run = LabRun(
            lab=lab,
            program=build_lab(lab, Path(scratch)),
            stage=stage,
            logs=logs,
            seconds=length,
            tell=tell,
            patterns=patterns,
            innocent=innocent,
        )
        try:
            SCENARIOS[lab.name](run)
            result = LabResult(
                lab=lab,
                folder=out,
                files=_deliver(lab, stage, out),
                notes=tuple(run.notes),
                seconds=time.monotonic() - began,
            )
            if hold is not None:
                service = run.service if run.service is not None and run.service.alive else run.start()
                hold(service, result)
        finally:
            run.close()
    return result


@contextlib.contextmanager
def running(name: str, args: Sequence[str] = (), *, tell: Tell = _silent) -> Iterator[LabProcess]:
    """Build a lab and keep its service up for the block, without load. It and its children end with the block."""
    lab = find_lab(name)
    with terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="parkwarden-lab-") as scratch:
        tell(f"{lab.name}: building with Go", None)
        program = build_lab(lab, Path(scratch))
        service = start_service(lab.name, program, Path(scratch, "service.log"), args)
        try:
            yield service
        finally:
            service.stop()


def check_folder(out: Path, force: bool) -> None:
    """UsageError if `out` is no folder to write into: a file, or not empty without `force`."""
    if out.exists() and not out.is_dir():
        raise UsageError("output-exists", f"{out} is not a folder", hint="choose another name")
    if not force and out.is_dir() and any(out.iterdir()):
        raise UsageError("output-exists", f"{out} is not empty", hint="choose another folder or add --force")


def _patterns(lab: Lab, pattern: str | None, innocent: bool) -> tuple[str, ...]:
    if not lab.patterns and (pattern is not None or innocent):
        raise UsageError(
            "lab-no-patterns", f"{lab.name} breaks in one way only", hint="leave out --pattern and --innocent"
        )
    if pattern is None:
        return lab.patterns
    if pattern not in lab.patterns:
        raise UsageError(
            "lab-pattern-unknown",
            f"{lab.name} has no pattern {pattern!r}",
            context="patterns: " + ", ".join(lab.patterns),
            hint="choose one of them, or leave --pattern out for all",
        )
    return (pattern,)


def _length(lab: Lab, seconds: float | None) -> float:
    if seconds is None:
        return float(lab.seconds)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise UsageError("lab-seconds", f"--seconds must be {MIN_SECONDS} to {MAX_SECONDS}, not {seconds:g}")
    return float(seconds)


def _deliver(lab: Lab, stage: Path, out: Path) -> tuple[tuple[str, int], ...]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        files = []
        for name in lab.saves:
            made = stage / name
            if made.exists():
                files.append((name, made.stat().st_size))
                shutil.copy2(made, out / name)  # with its time: a text dump tells its own nowhere else
    except OSError as error:
        raise UsageError(
            "output-unwritable",
            f"cannot write into {out}: {error.strerror}",
            hint="choose a folder that you can write to",
        ) from error
    return tuple(files)
