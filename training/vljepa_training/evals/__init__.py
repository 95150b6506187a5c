"""Evaluations of a checkpoint on worlds it never saw: `python -m vljepa_training.evals`."""
