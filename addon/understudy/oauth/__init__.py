"""OAuth as pairs of pure request builders and response parsers, and the one HTTP client that sends them."""
