"""What stands in tables, and the forms that a table takes."""
