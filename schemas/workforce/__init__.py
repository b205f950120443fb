"""Collections of unemployment insurance wages and employers. One file a collection; nothing else belongs here."""
