"""Collections of elementary and secondary education. One file a collection; nothing else belongs here."""
