"""Hydra configuration of what this project adds to verl."""
