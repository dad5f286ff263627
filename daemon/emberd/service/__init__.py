"""What each method does, apart from any transport."""
