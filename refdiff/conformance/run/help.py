"""The help of the command `refdiff check`."""

DESCRIPTION = """\
Run the conformance vectors against an implementation. The report says which equations it satisfies, which it departs from and
by how much, and which known mistake, convention or small change of a formula reproduces its wrong answers.

  refdiff check --template > my_adapter.py      print a Python adapter to fill in
  refdiff check my_adapter                      check the operations that it has, skip the others
  refdiff check my.module:MyClass --minimal     check a class by name, with a small set of vectors
  refdiff check --pipe './my_program --fast'    check a program in any language, by JSON lines
  refdiff check my_adapter --format html --out report.html
  refdiff check refdiff.conformance.own         check refdiff itself
"""
EPILOG = """\
exit codes:
  0  vectors of level must were run, and no vector at the chosen level or a stricter one failed or errored
  1  a vector at the level failed, errored or had its inputs overwritten
  2  wrong usage; or no vector of level must was run, because the implementation has none of the operations or skipped all vectors;
     or the run stopped early, because the implementation ended its process or gave no answer in time; the report says so
130  interrupted

A Python adapter runs in a process of its own, where it cannot end the check or write into the report. Its standard output goes
to standard error. --in-process gives up this protection, for a debugger: its time limit counts the time of computing, not of waiting.
"""
