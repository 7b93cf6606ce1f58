"""What the Slicer module EdgeFlow is made of. Mathematics, files and state live in the library edgeflow_med."""
