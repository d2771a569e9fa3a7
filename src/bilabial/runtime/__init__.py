"""The model without torch: ONNX files and what runs them."""
