// Constriction's range decoder (Bamler, arXiv 2201.01741): words of 32 bits, a state of 64, probabilities of 24.

import { BitstreamError } from "./bitstream.js";

const PRECISION = 24, TOTAL = 2 ** PRECISION;
const MASK = (1n << 64n) - 1n, LEAST = 1n << 32n;

export class RangeDecoder {
  /** @param {Uint8Array} payload bytes after its end count as zeros */
  constructor(payload) {
    this.payload = payload;
    this.next = 0;
    this.range = MASK;
    this.point = (this.word() << 32n) | this.word(); // relative to the range's lower end
  }

  /**
   * Decodes a symbol whose probabilities are the weights, times any constant.
   *
   * @param {Float64Array} weights L of them
   * @returns {number} 0 .. L - 1
   * @throws {BitstreamError} no encoder writes such a payload
   */
  symbol(weights) {
    const last = weights.length - 1;
    let sum = 0;
    for (const weight of weights) sum += weight;
    const scale = (TOTAL - weights.length) / sum;
    const step = this.range >> BigInt(PRECISION);
    const quantile = Number(this.point / step);
    if (quantile >= TOTAL) throw new BitstreamError("altered: the payload is not valid");
    let symbol = 0, left = 0, right = TOTAL;
    for (let before = 0; symbol < last; symbol++) {
      before += weights[symbol];
      const border = Math.trunc(before * scale) + symbol + 1;
      if (border > quantile) {
        right = border;
        break;
      }
      left = border;
    }
    this.point -= step * BigInt(left);
    this.range = step * BigInt(right - left);
    if (this.range < LEAST) {
      this.range <<= 32n;
      this.point = (this.point << 32n) | this.word();
    }
    return symbol;
  }

  /** Returns the next 4 bytes as a number. */
  word() {
    let value = 0;
    for (let i = 0; i < 4; i++) value = value * 256 + (this.payload[this.next++] ?? 0);
    return BigInt(value);
  }
}
