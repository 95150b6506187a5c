"""Small nodes that use the client, to run as they are or to begin one's own from."""
