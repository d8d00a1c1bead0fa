"""What others published: files, readers, importers."""
