"""The contract on arguments, for every public function: a wrong argument is a named error, an unusual one gives the result of the plain one.

All functions are called with every damage of every argument; by default only a sample of these calls, by `pytest -m long` all of them.
`pytest -rP tests/contract` prints the numbers of calls. `docs/contributing.md` says how a new function comes under the contract.
"""

from collections import Counter

import pytest

from .calls import ROOMS, damaged, walk
from .makers import VARIANTS
from .verdicts import NAMED, RIGHT, run, verdict

CALLS = {call.name: call for call in walk()}
EVERY = 61  # of the damaged calls, one in so many is in the sample: a prime, so that the sample meets all damages


@pytest.mark.parametrize("name", CALLS)
def test_valid_arguments(name):
    """Every public function is called with valid arguments; a parameter of a new name needs a maker."""
    call = CALLS[name]
    unmade = [parameter.name for parameter in call.parameters if not call.maker(parameter.name)]
    assert not unmade, f"{name} has parameters without makers: add them to tests/contract/makers.py, or the function to OUTSIDE in calls.py"
    for variant in VARIANTS:
        _, error = run(call, variant, call.arguments(variant))
        assert error is None, f"{variant}: {error!r}; the makers in tests/contract/makers.py do not fit {name}: add one for it"


@pytest.mark.parametrize("room", ROOMS)
def test_sample_of_damaged_arguments(room):
    """A sample of the damaged calls of a package's functions."""
    check([call for name, call in CALLS.items() if name.partition(".")[0] == room], EVERY)


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_all_damaged_arguments(name):
    """Every damage of every argument of a function."""
    check([CALLS[name]], 1)


def check(calls, every):
    """Print the numbers of verdicts; fail with all faults, each with the damaged argument."""
    verdicts, faults, number = Counter(), [], 0
    for call in calls:
        for variant in VARIANTS:
            baseline, _ = run(call, variant, call.arguments(variant))
            for parameter, damage in damaged(call, variant):
                number += 1
                if number % every == 0:
                    found = verdict(call, variant, parameter, damage, baseline)
                    verdicts[found] += 1
                    if found not in (NAMED, RIGHT):
                        faults.append(f"{found}: {call.name}({parameter} = {repr(damage.value)[:200]}), {damage.category}, {variant}")
    print(f"{verdicts.total()} damaged calls: {', '.join(f'{n} {name}' for name, n in verdicts.most_common())}")
    assert not faults, f"{len(faults)} faults, such as\n" + "\n".join(faults[:20])
