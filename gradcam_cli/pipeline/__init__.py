"""Sessions, runs and results: from planned jobs to written files, and the order of the work."""
