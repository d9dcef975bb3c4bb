"""Runs the named cases of one SDK and counts them.

A program takes the base URL and the key from AEGIS_TEST_BASE and AEGIS_TEST_KEY and gives the SDK
nothing else: that a base URL and a key are enough is what these programs show.
"""

import os
import sys
import traceback

# What the mock provider answers: its rule is a token for each word (bench/mock/README.md).
QUESTION = "say hi"
ANSWER = "You said: say hi"
INPUT_TOKENS = 2
OUTPUT_TOKENS = 4

BEHAVIOR = "x-mock-behavior"

_cases = []


def base(prefix):
    """The base URL of one provider."""
    return _needed("AEGIS_TEST_BASE").rstrip("/") + prefix


def key():
    """The key a user would give to the SDK."""
    return _needed("AEGIS_TEST_KEY")


def _needed(name):
    value = os.environ.get(name)
    if not value:
        print(f"{name} is not set; set it to the router's base URL or key", file=sys.stderr)
        sys.exit(2)
    return value


def case(function):
    """Marks a function as a case; its name is the case's."""
    _cases.append(function)
    return function


def equal(have, want):
    """Fails the case when two values differ."""
    if have != want:
        raise AssertionError(f"expected {want!r}, found {have!r}")


def raises(kind, call):
    """Gives the exception of `kind` that `call` raises; fails the case when it raises none."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, found no error")


def main(program):
    """Runs all cases and leaves the process."""
    failed = 0
    for function in _cases:
        name = f"{program}.{function.__name__}"
        try:
            function()
            print(f"ok {name}", flush=True)
        except Exception as error:  # every kind of failure is a failed case
            failed += 1
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAIL {name} {reason[:500]}", flush=True)
            traceback.print_exc()
    print(f"{len(_cases) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
