"""What people read: tables, figures and one page a sweep."""
