"""Named models, from the hub or from pinned packages, as local Hugging Face directories."""
