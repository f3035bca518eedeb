"""A photograph that comes with the package, and a clip and an animation that are made of it."""
