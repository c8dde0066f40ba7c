"""What each step does: copy, restore, open the door, delete, export. Each decides which action is due, and does it."""
