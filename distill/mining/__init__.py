"""Mining: hard negatives, similar names and triplets out of local files."""
