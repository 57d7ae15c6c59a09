"""Is the answer still right? Every precision against float32 from Hugging Face Transformers."""
