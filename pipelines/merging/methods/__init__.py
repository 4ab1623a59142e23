"""The formulas of `pipelines/core/methods.py`, a pure function of tensors each."""
