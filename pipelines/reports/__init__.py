"""Pages that people read: static, offline, accessible. They show what is published and compute nothing of their own."""
