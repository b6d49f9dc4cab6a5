"""Acting and scoring: prompts, sampling, Hugging Face models, and the small default."""
