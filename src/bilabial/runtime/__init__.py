"""The model without torch: ONNX files and their runner."""
