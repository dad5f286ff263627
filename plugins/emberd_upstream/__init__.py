"""Models of other embedding servers, behind our cache."""
