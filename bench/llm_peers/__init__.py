"""Language models of known shapes beside llama.cpp and transformers."""
