"""Collections of the child welfare agency. One file a collection; nothing else belongs here."""
