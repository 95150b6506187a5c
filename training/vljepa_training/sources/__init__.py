"""Where pairs of clips and texts come from beside the tabletop world."""
