"""From a model name to a network that is ready to be explained."""
