"""What is told to a model that was not trained here: an episode to follow, and hints beside its errors."""
