"""`make demo`: a real Go service leaks, Parkwarden looks at it from outside and names the line."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

from parkwarden.run.lab import running

OUT = Path("out")
LEAKS = ("send-without-receiver", "http-connection-not-closed")


def main() -> int:
    OUT.mkdir(exist_ok=True)
    report = OUT / "demo.html"
    print("demo: building and starting lab/leaks, a small Go shop that leaks ...", flush=True)
    with running("leaks") as service:
        print(f"demo: it listens at {service.url} (pid {service.pid})", flush=True)
        for number in range(2):
            for leak in LEAKS:
                urllib.request.urlopen(
                    f"{service.url}/leak/{leak}?n={(400, 120)[LEAKS.index(leak)]}", timeout=30
                ).close()
            print(f"demo: round {number + 1} of requests served; each left goroutines behind", flush=True)
        print(f"\n$ parkwarden diagnose {service.url}\n", flush=True)
        command = [str(Path(sys.prefix) / "bin" / "parkwarden"), "diagnose", service.url]
        found = subprocess.run(command, check=False).returncode
        made = subprocess.run(
            [*command, "--for", "1", "--source", "lab/leaks", "--format", "html", "-o", str(report), "--force"],
            check=False,
        ).returncode
    print(f"\ndemo: the service has been stopped. The same as a page: {report}")
    # a leak was made, so "a leak was found" (exit code 1) is the right answer of both runs
    return 0 if (found, made) == (1, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
