"""What everything rests on: errors, files that appear whole, names, YAML, what was imported."""
