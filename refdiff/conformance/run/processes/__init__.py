"""Processes of implementations: a fork, a program, and the time limit of a call."""
