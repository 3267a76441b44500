"""genreclf: music-genre classification that its users can trust."""

__version__ = "0.1.0"
