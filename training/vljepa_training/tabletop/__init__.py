"""The tabletop world: a scripted MuJoCo scene whose simulator state gives exact captions, answers, labels and boundaries."""
