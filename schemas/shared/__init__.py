"""Collections of organizations that every sector's records point to. One file each; nothing else belongs here."""
