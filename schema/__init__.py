"""The vocabulary of the API: object types, inputs, results and their errors."""
