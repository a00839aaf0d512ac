"""The networks in TensorFlow: encoder, quantizer, generator, discriminator, and the entropy coder's prior."""
