"""KBLaM++: facts as key and value vectors, and the text encoders that make them.

Imports neither kg_r1 nor verl.
"""
