"""How well a trained model does: evaluation sets read, zero-shot and retrieval, their results."""
