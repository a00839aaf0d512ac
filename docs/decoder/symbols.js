// From the bytes of a .bin file to the symbols of its latents.

import { BitstreamError, STRIDE, parse } from "./bitstream.js";
import { ContextModel } from "./context_model.js";
import { RangeDecoder } from "./range_decoder.js";

/**
 * Decodes a file.
 *
 * @param {Uint8Array} data its bytes
 * @param {object} model the content of model.json
 * @param {import("./context_model.js").Prior} prior
 * @returns {{height: number, width: number, level: number, coder: string, shape: number[], symbols: Uint8Array}}
 *   with the photo's height and width, and symbols of shape (rows, columns, channels)
 * @throws {BitstreamError} the bytes are not a complete, unaltered file of this model
 */
export function decode(data, model, prior) {
  const { payload, fingerprint, channels, ...stream } = parse(data);
  if (fingerprint !== model.fingerprint) {
    throw new BitstreamError(`made by another model (fingerprint ${fingerprint}; this page has ${model.fingerprint})`);
  }
  if (channels !== model.channels) {
    throw new BitstreamError("altered: the number of latent channels differs from the model's");
  }
  if (stream.level < 1 || stream.level > model.levels) {
    throw new BitstreamError(`altered: level ${stream.level}, but the model has ${model.levels}`);
  }
  const shape = [Math.ceil(stream.height / STRIDE), Math.ceil(stream.width / STRIDE), channels];
  const decoder = new RangeDecoder(payload);
  const symbols =
    stream.coder === "context"
      ? new ContextModel(shape, prior, stream.level).decode(decoder)
      : order0(shape, prior.centers, stream.coder === "order0" ? 2 : 0, decoder);
  return { ...stream, shape, symbols };
}

/** Decodes symbols by how often each has occurred in its channel; with an increment of 0, all are equally likely. */
function order0([height, width, channels], centers, increment, decoder) {
  const symbols = new Uint8Array(height * width * channels);
  const counts = Array.from({ length: channels }, () => new Float64Array(centers).fill(1));
  for (let at = 0; at < symbols.length; at += width * channels) {
    const row = symbols.subarray(at, at + width * channels);
    for (let i = 0; i < row.length; i++) row[i] = decoder.symbol(counts[i % channels]);
    row.forEach((symbol, i) => (counts[i % channels][symbol] += increment));
  }
  return symbols;
}
