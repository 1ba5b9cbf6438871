"""Damaged arguments for the mutants of mutmut: `cd mutants && python -m tests.contract.mutants`, after `mutmut run`.

The checks of arguments are tested by the contract, which takes too long to be run for every mutant. This program makes the damaged
calls for each mutant that no test has killed: those of the mutated function, or of its module if it is private, or a sample of all
calls if it is in `checks`, `arrays` or another module without calls of its own. The mutants that are killed get exit code 1 in the
files of mutmut; those that are left are printed.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIG_DFL, SIGALRM, alarm, signal

from .calls import damaged, walk
from .makers import VARIANTS
from .verdicts import NAMED, RIGHT, run, verdict

CALLS = [call for call in walk() if "__mutmut" not in call.name]
FEW, MANY = 5, 97  # of the damaged calls of a module, and of all calls, one in so many


def calls_of(mutant):
    """The calls that reach a mutant, and the share of their damages that is tried."""
    module, _, name = mutant.removeprefix("refdiff.").rpartition(".")
    function = name.removeprefix("x").partition("__mutmut")[0].strip("_ǁ").rpartition("ǁ")[2]
    inside = [call for call in CALLS if call.name.startswith(f"{module}.")]
    own = [call for call in inside if function in call.name.split(".")]
    return (own, 1) if own else (inside, FEW) if inside else (CALLS, MANY)


def faulty(calls, every):
    """Whether a damaged call is neither refused by name nor answered rightly."""
    number = 0
    for call in calls:
        for variant in VARIANTS:
            baseline, error = run(call, variant, call.arguments(variant))
            if error is not None:
                return True
            for parameter, damage in damaged(call, variant):
                number += 1
                if number % every == 0 and verdict(call, variant, parameter, damage, baseline) not in (NAMED, RIGHT):
                    return True
    return False


def killed(mutant):
    """Whether the damaged calls kill a mutant, in a process of its own with two minutes."""
    pid = os.fork()
    if not pid:
        signal(SIGALRM, SIG_DFL)
        alarm(120)
        os.environ["MUTANT_UNDER_TEST"] = mutant
        try:
            os._exit(int(faulty(*calls_of(mutant))))
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1] != 0


def main(untested):
    """Try all survivors, and the untested mutants as well if requested; print those that are left."""
    os.environ["MUTANT_UNDER_TEST"] = ""
    kinds = (0, None) if untested else (0,)
    left, tried = [], 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for path in sorted(Path("refdiff").glob("**/*.meta")):
            found = json.loads(path.read_text(encoding="utf-8"))
            codes = found["exit_code_by_key"]
            names = [name for name, code in codes.items() if code in kinds]
            for name, dead in zip(names, pool.map(killed, names), strict=True):
                codes[name] = 1 if dead else codes[name]
            path.write_text(json.dumps(found, indent=4), encoding="utf-8")
            alive = [name for name in names if codes[name] == 0]
            left, tried = left + alive, tried + len(names)
            print(f"{path}: {len(names)} mutants, {sum(codes[name] == 1 for name in names)} killed", flush=True)
    print("\n".join([*left, f"{tried} mutants, {len(left)} survivors"]))


if __name__ == "__main__":
    main("--untested" in sys.argv)
