"""Training on stock verl: the only package here that imports verl."""
