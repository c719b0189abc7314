"""What happens between the command line and the first process of a training: checks, and the run's record."""
