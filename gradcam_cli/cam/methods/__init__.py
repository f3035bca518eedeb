"""The methods: formulas that turn what is known about a batch into class activation maps."""
