"""What computes a checkpoint's parts other than torch itself: exported graphs; and the choice of the fastest."""
