"""The table of edge cases. BEING WRITTEN by another member of the team (helper 7): leave this file alone."""
