"""How fast a codec makes sound, alone and behind a speech model."""
