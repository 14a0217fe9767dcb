"""What a user can set, a module a simulator or transform; importing it imports nothing heavy."""
