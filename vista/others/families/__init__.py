"""The adapters, one file a family; `--plugin` adds others."""
