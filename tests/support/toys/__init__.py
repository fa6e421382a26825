"""Small models, results and traces with known answers, for tests."""
