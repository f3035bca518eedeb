"""From what was typed to the written files: planning, running and the order of the work."""
