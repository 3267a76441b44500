"""Reads the tags of audio files and writes their genre."""
