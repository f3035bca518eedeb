"""Faster execution, and results that do not depend on the batch; no formulas are here."""
