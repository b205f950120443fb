"""Collections of colleges and universities. One file a collection; nothing else belongs here."""
