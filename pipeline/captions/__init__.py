"""What a model behind an endpoint is asked: questions, requests, answers, what they cost."""
