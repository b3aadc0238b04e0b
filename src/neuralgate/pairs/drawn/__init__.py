"""Drawn documents: what they say, how they look, and photographs of them."""
