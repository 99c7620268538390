"""The vocabulary of the API: object types, inputs, results and their errors."""

# Before anything uses one: Strawberry would make up a second, undescribed enum.
from schema import enums as enums
