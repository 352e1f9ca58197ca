"""How far an engine's texts and probabilities are from those of a reference."""
