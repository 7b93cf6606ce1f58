# Slicer writes the extension's own CMake configuration here; nothing of it depends on the extension's files.
