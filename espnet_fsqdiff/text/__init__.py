"""From raw text to text tokens."""
