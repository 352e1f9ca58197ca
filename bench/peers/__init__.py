"""What the comparisons of our decoders with the same models in other programs share."""
