"""Use of a trained model: packing it, loading it elsewhere, transcribing."""
