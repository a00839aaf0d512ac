// The .bin container, version 2. `src/compressgan/coding/bitstream.py` describes it to the byte.

export const CODERS = ["context", "order0", "block"];
export const STRIDE = 16; // pixels per latent position and side
const VERSION = 2;
const HEADER = 16; // bytes: the longest header, and the shortest file
const MAX_SIDE = 2 ** 20 - 1, MAX_PIXELS = 2 ** 28;

/** The bytes are not a complete, unaltered .bin file of this format and model. */
export class BitstreamError extends Error {}

/**
 * Parses the bytes of a .bin file.
 *
 * @param {Uint8Array} data
 * @returns {{height: number, width: number, channels: number, level: number, fingerprint: string, coder: string,
 *   payload: Uint8Array}} with the fingerprint in hexadecimal
 * @throws {BitstreamError}
 */
export function parse(data) {
  if (!data.length || [..."CGN"].some((letter, i) => i < data.length && data[i] !== letter.charCodeAt(0))) {
    throw new BitstreamError("not a CompressGAN .bin file");
  }
  if (data.length < HEADER) throw new BitstreamError("truncated: shorter than a header");
  const end = data.length - 4;
  const stored = new DataView(data.buffer, data.byteOffset + end).getUint32(0, true);
  if (crc32(data.subarray(0, end)) !== stored) {
    throw new BitstreamError("truncated or altered: the checksum is wrong");
  }
  const version = data[3] & 15, coder = data[3] >> 4;
  if (version !== VERSION || coder >= CODERS.length) {
    throw new BitstreamError(`written in format ${version}.${coder}, which this page cannot read`);
  }
  const [height, afterHeight] = varint(data, 10);
  const [width, start] = varint(data, afterHeight);
  const fits = height > 0 && width > 0 && height <= MAX_SIDE && width <= MAX_SIDE && height * width <= MAX_PIXELS;
  if (!fits || start > end) throw new BitstreamError("altered: the header is invalid");
  const fingerprint = [...data.subarray(6, 10)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const payload = data.subarray(start, end);
  return { height, width, channels: data[4], level: data[5], fingerprint, coder: CODERS[coder], payload };
}

/**
 * Returns the bytes of a .bin file: the inverse of `parse`.
 *
 * @param {ReturnType<typeof parse>} stream
 */
export function toBytes({ height, width, channels, level, fingerprint, coder, payload }) {
  const kind = VERSION | (CODERS.indexOf(coder) << 4);
  const model = fingerprint.match(/../g).map((byte) => parseInt(byte, 16));
  const head = [..."CGN"].map((letter) => letter.charCodeAt(0));
  head.push(kind, channels, level, ...model, ...varintBytes(height), ...varintBytes(width));
  const data = new Uint8Array(head.length + payload.length + 4);
  data.set(head);
  data.set(payload, head.length);
  new DataView(data.buffer).setUint32(data.length - 4, crc32(data.subarray(0, -4)), true);
  return data;
}

function varintBytes(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varintBytes(value >>> 7)];
}

function varint(data, offset) {
  let value = 0;
  for (const shift of [0, 7, 14]) {
    const byte = data[offset++] ?? 0;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value, offset];
  }
  throw new BitstreamError("altered: the header is invalid");
}

function crc32(data) {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
