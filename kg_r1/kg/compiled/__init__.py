"""Graphs compiled into files that are mapped into memory: written once, read by any number of processes."""
