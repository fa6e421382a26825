"""Text that models are run on beside tasks: a built-in sample, named sources, folders of files."""
