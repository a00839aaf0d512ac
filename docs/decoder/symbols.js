// Between the bytes of a .bin file and the symbols of its latents.

import { BitstreamError, STRIDE, parse, toBytes } from "./bitstream.js";
import { ContextModel } from "./context_model.js";
import { RangeDecoder, RangeEncoder } from "./range_coder.js";

/**
 * Decodes a file.
 *
 * @param {Uint8Array} data its bytes
 * @param {object} model the content of model.json
 * @param {import("./context_model.js").Prior} prior
 * @param {number} [maxPixels] of the photo
 * @returns {{height: number, width: number, level: number, shape: number[], symbols: Uint8Array}}
 *   with the photo's height and width, and symbols of shape (rows, columns, channels)
 * @throws {BitstreamError} the bytes are not a complete, unaltered file of this model
 */
export function decode(data, model, prior, maxPixels = Infinity) {
  const { height, width, level, channels, fingerprint, coder, payload } = parse(data);
  if (fingerprint !== model.fingerprint) {
    throw new BitstreamError(`made by another model (fingerprint ${fingerprint}; this page has ${model.fingerprint})`);
  }
  if (channels !== model.channels) {
    throw new BitstreamError("altered: the number of latent channels differs from the model's");
  }
  if (level < 1 || level > model.levels) {
    throw new BitstreamError(`altered: level ${level}, but the model has ${model.levels}`);
  }
  if (height * width > maxPixels) throw new BitstreamError(`${width} x ${height} pixels are too many for this page`);
  const shape = [Math.ceil(height / STRIDE), Math.ceil(width / STRIDE), channels];
  const symbols = modelOf(coder, shape, prior, level).code(new RangeDecoder(payload));
  return { height, width, level, shape, symbols };
}

/**
 * Encodes a file: the inverse of `decode`.
 *
 * @returns {Uint8Array} its bytes
 */
export function encode({ height, width, level, shape, symbols }, model, prior) {
  const payloadOf = (coder) => {
    const encoder = new RangeEncoder();
    modelOf(coder, shape, prior, level).code(encoder, symbols);
    return encoder.payload();
  };
  let coder = "context", payload = payloadOf(coder);
  // Latents unlike any that the prior has seen must not cost more than the bound.
  if (8 * payload.length > symbols.length * Math.log2(prior.centers)) {
    const block = payloadOf("block");
    if (block.length < payload.length) [coder, payload] = ["block", block];
  }
  return toBytes({ height, width, level, channels: model.channels, fingerprint: model.fingerprint, coder, payload });
}

function modelOf(coder, shape, prior, level) {
  if (coder === "context") return new ContextModel(shape, prior, level);
  return { code: (range, given) => order0(shape, prior.centers, coder === "order0" ? 2 : 0, range, given) };
}

/** Codes symbols by how often each has occurred in its channel; with an increment of 0, all are equally likely. */
function order0([height, width, channels], centers, increment, coder, given) {
  const symbols = new Uint8Array(height * width * channels);
  const counts = Array.from({ length: channels }, () => new Float64Array(centers).fill(1));
  for (let at = 0; at < symbols.length; at += width * channels) {
    const row = symbols.subarray(at, at + width * channels);
    for (let i = 0; i < row.length; i++) row[i] = coder.symbol(counts[i % channels], given?.[at + i]);
    row.forEach((symbol, i) => (counts[i % channels][symbol] += increment));
  }
  return symbols;
}
