"""Recipes, data, losses, trainer, evaluations and the tabletop world. Never needed on a robot."""
