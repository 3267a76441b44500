"""Tags of audio files: read, and their genre written."""
