#!/usr/bin/env python3
"""Runs a program under valgrind's memcheck and judges where its branches, its addresses and what it asks
about depend on what it marked undefined.

    check.py PROGRAM REPORT     REPORT is where valgrind's XML goes

Allowed is the metering code, by name, and what takes over from it. Exit codes: 0 nowhere else, 1
somewhere else or nowhere at all (then the marks do nothing), 3 valgrind did not run.
"""

import subprocess
import sys
import xml.etree.ElementTree as Tree
from collections import Counter
from pathlib import Path

# Sources whose innermost frame says whose branch it is; wire and the decoders work for their callers.
OURS = ("enclave/core/src/", "formal/ct/src/")
METER = "enclave/core/src/meter"
# The functions that take what the meter found and make a usage record of it.
TAKES_OVER = {"aegis_core::exchange::Exchange::usage", "aegis_secrets::found"}


def frames(error):
    """(function, source) from the innermost frame outwards."""
    for frame in error.find("stack").findall("frame"):
        yield frame.findtext("fn", "?"), f"{frame.findtext('dir', '?')}/{frame.findtext('file', '?')}"


def blamed(error):
    """Function and source of the innermost frame of ours, with its line."""
    for frame, (function, source) in zip(error.find("stack").findall("frame"), frames(error)):
        if any(ours in source for ours in OURS):
            at = min(source.index(ours) for ours in OURS if ours in source)
            return function, source[at:], frame.findtext("line", "?")
    function, source = next(frames(error))
    return function, source, "?"


def main(program, report):
    ran = subprocess.run(["valgrind", "--tool=memcheck", "--error-limit=no", "--num-callers=60",
                          "--leak-check=no", "--xml=yes", f"--xml-file={report}", program],
                         capture_output=True, text=True)
    if ran.returncode != 0 or not Path(report).exists():
        print(f"valgrind {program}: {(ran.stdout + ran.stderr)[-2000:]}", file=sys.stderr)
        return 3
    inside, outside = Counter(), Counter()
    for error in Tree.parse(report).getroot().findall("error"):
        if not error.findtext("kind").startswith(("Uninit", "ClientCheck")):
            continue
        function, source, line = blamed(error)
        allowed = source.startswith(METER) or function in TAKES_OVER
        (inside if allowed else outside)[f"{function} ({source}:{line})"] += 1
    for place, times in outside.most_common():
        print(f"depends on body bytes outside the meter, {times} times: {place}")
    print(f"{ran.stdout.strip()}; {len(inside)} places in the meter depend on them, "
          f"{len(outside)} elsewhere")
    return 0 if inside and not outside else 1


if len(sys.argv) != 3:
    print(__doc__.strip(), file=sys.stderr)
    sys.exit(2)
sys.exit(main(*sys.argv[1:]))
