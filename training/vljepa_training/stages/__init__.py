"""The stages of a training, one file each: a `Task` for `trainer.train`."""
