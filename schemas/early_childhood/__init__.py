"""Collections of early childhood programs and kindergarten readiness. One file each; nothing else belongs here."""
