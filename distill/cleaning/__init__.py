"""Rules that drop and repair rows of corpora."""
