"""W1-W6. BEING WRITTEN by another member of the team (helper 7): leave this file and docs/errata.md alone."""
