"""What a run leaves behind: files, figures and the report page."""
