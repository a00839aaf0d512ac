// Constriction's range coder (Bamler, arXiv 2201.01741): words of 32 bits, a state of 64, probabilities of 24.
//
// Both classes have `symbol(weights, symbol)`. The L weights are the probabilities times any constant. The encoder codes
// the symbol and returns it; the decoder ignores it and returns the one that it decodes.

import { BitstreamError } from "./bitstream.js";

const PRECISION = 24, TOTAL = 2 ** PRECISION;
const WORD = 32n, MASK = (1n << 64n) - 1n, LEAST = 1n << WORD;

export class RangeEncoder {
  constructor() {
    this.words = []; // the fraction's first digits
    this.low = 0n; // its next 64 bits
    this.range = MASK;
  }

  symbol(weights, symbol) {
    const { borders } = cumulative(weights, symbol);
    const step = this.range >> BigInt(PRECISION), [left, right] = borders;
    this.low += step * BigInt(left);
    this.range = step * BigInt(right - left);
    if (this.low > MASK) {
      this.low &= MASK;
      let i = this.words.length - 1;
      while (this.words[i] === 2 ** 32 - 1) this.words[i--] = 0;
      this.words[i]++;
    }
    if (this.range < LEAST) {
      this.words.push(Number(this.low >> WORD));
      this.low = (this.low << WORD) & MASK;
      this.range <<= WORD;
    }
    return symbol;
  }

  /** Returns the shortest payload that decodes to the symbols. Bytes after its end count as zeros. */
  payload() {
    const digits = this.words.map((word) => word.toString(16).padStart(8, "0")).join("");
    const low = (BigInt(`0x0${digits}`) << 64n) | this.low;
    let dropped = BigInt(this.range.toString(2).length + 7), shortest;
    do {
      dropped--;
      shortest = -(-low >> dropped) << dropped;
    } while (shortest >= low + this.range);
    const text = shortest.toString(16).padStart(digits.length + 16, "0").replace(/(00)*$/, "");
    return Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  }
}

export class RangeDecoder {
  /** @param {Uint8Array} payload bytes after its end count as zeros */
  constructor(payload) {
    this.payload = payload;
    this.next = 0;
    this.range = MASK;
    this.point = (this.word() << WORD) | this.word(); // relative to the range's lower end
  }

  /** @throws {BitstreamError} no encoder writes such a payload */
  symbol(weights) {
    const step = this.range >> BigInt(PRECISION);
    const quantile = Number(this.point / step);
    if (quantile >= TOTAL) throw new BitstreamError("altered: the payload is not valid");
    const { symbol, borders: [left, right] } = cumulative(weights, weights.length - 1, quantile);
    this.point -= step * BigInt(left);
    this.range = step * BigInt(right - left);
    if (this.range < LEAST) {
      this.range <<= WORD;
      this.point = (this.point << WORD) | this.word();
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

/** Returns the first symbol that is `last` or ends above the quantile, and where its probability starts and ends. */
function cumulative(weights, last, quantile = Infinity) {
  let sum = 0;
  for (const weight of weights) sum += weight;
  const scale = (TOTAL - weights.length) / sum;
  const border = (before, symbol) => (symbol === weights.length ? TOTAL : Math.trunc(before * scale) + symbol);
  for (let symbol = 0, left = 0, before = 0; ; symbol++) {
    before += weights[symbol];
    const right = border(before, symbol + 1);
    if (symbol === last || right > quantile) return { symbol, borders: [left, right] };
    left = right;
  }
}
