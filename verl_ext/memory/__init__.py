"""What a configuration needs of a device's memory, phase by phase, computed by running verl's engines.

Nothing is imported here: ``estimate`` imports verl, which chooses its device when it is imported.
"""
