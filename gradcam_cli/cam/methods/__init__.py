"""The methods: formulas that compute class activation maps from a layer's context."""
