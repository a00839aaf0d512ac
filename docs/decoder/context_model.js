// The entropy coder's context model, as `src/compressgan/coding/context_model.py` defines it.
//
// All sums are sums of integers, which float64 holds exactly in any order. Other operations round once, as IEEE 754
// prescribes. So the symbols are the same as Python's on every machine.

import { BitstreamError } from "./bitstream.js";

const STAGES = 4; // groups of channels coded one after another
const ROWS_ABOVE = 2, COLUMNS_ASIDE = 2; // size of the window: rows above, columns to either side
const PLANES = 2; // inputs per visible symbol: its signed rank, and the rank's magnitude
const SCALE = 256; // integer weights are the real weights times this
const LARGEST_LOGIT = 256, STEPS_PER_NAT = 64, PROBABILITY = 2 ** 16, FRONTS_PER_LESSON = 2;
const BIAS_SPEED = 24, BIAS_DELAY = 300, GAIN_SPEED = 8, GAIN_DELAY = 100, GAIN_RANGE = 4;

const EXP = new Float64Array(1024); // 2^32 e^(-i / 64), floored
for (let i = 0, value = 1n << 96n; i < EXP.length; i++) {
  EXP[i] = Number(value >> 64n);
  value = (value * 18160753814917686419n) >> 64n; // 2^64 e^(-1/64)
}

/** The priors of a model's levels, in integers. */
export class Prior {
  /**
   * @param {object} model the content of model.json
   * @param {ArrayBuffer} content of prior.bin: int32 arrays, little-endian
   */
  constructor(model, content) {
    const { channels, levels, hidden } = model, centers = model.centers.length, view = new DataView(content);
    let offset = 0;
    const take = (count) => Float64Array.from({ length: count }, () => view.getInt32((offset += 4) - 4, true));
    this.centers = centers;
    this.hidden = hidden;
    // By row and column of the window, plane, channel, channel that sees it, and hidden unit.
    this.window = take((ROWS_ABOVE + 1) * (2 * COLUMNS_ASIDE + 1) * PLANES * channels * channels * hidden);
    this.output = take(channels * hidden * centers);
    this.levels = range(0, levels).map(() => ({
      hiddenBias: take(channels * hidden),
      outputBias: take(channels * centers),
    }));
  }
}

export class ContextModel {
  /**
   * @param {[number, number, number]} shape height, width and channels of the latents
   * @param {Prior} prior
   * @param {number} level from 1
   */
  constructor([height, width, channels], prior, level) {
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.prior = prior;
    this.middle = Math.floor(prior.centers / 2);
    const { hiddenBias, outputBias } = prior.levels[level - 1];
    this.hiddenBias = hiddenBias;
    this.group = range(0, channels).map((channel) => Math.floor((channel * STAGES) / channels));
    this.stages = [...new Set(this.group)].map((stage) => this.stage(stage));
    this.symbols = new Uint8Array(height * width * channels).fill(this.middle);
    this.bias = outputBias.map((value) => value / SCALE ** 2);
    this.gain = new Float64Array(channels).fill(1);
    this.seen = new Float64Array(channels);
    this.residuals = new Float64Array(channels * prior.centers); // sums since the last lesson
    this.slopes = new Float64Array(channels);
  }

  /**
   * Codes all symbols.
   *
   * @param {import("./range_coder.js").RangeDecoder | import("./range_coder.js").RangeEncoder} coder
   * @param {Uint8Array} [given] the symbols that an encoder codes, (height, width, channels)
   * @returns {Uint8Array} the symbols
   * @throws {BitstreamError} no encoder writes such a payload
   */
  code(coder, given) {
    const { height, width, channels, middle } = this;
    const weights = new Float64Array(this.prior.centers), logits = new Float64Array(this.prior.centers);
    const certain = new Float64Array(this.prior.centers);
    certain[middle] = 1;
    const times = width + this.group[channels - 1];
    let fronts = 0;
    for (let front = 0; front < times + 2 * (height - 1); front++) {
      const rows = range(Math.max(0, Math.floor((front - times) / 2) + 1), Math.min(height, Math.floor(front / 2) + 1));
      if (!rows.length) continue;
      for (const stage of this.stages) {
        const units = rows.map((row) => this.hiddenUnits(row, front - 2 * row - stage.number, stage));
        for (let channel = stage.first; channel < stage.end; channel++) {
          rows.forEach((row, i) => {
            if (units[i]) {
              const at = (row * width + front - 2 * row - stage.number) * channels + channel;
              this.weigh(channel, units[i], (channel - stage.first) * this.prior.hidden, logits, weights);
              this.symbols[at] = coder.symbol(weights, given?.[at]);
              this.remember(channel, this.symbols[at], logits, weights);
            } else if (coder.symbol(certain, middle) !== middle) {
              throw new BitstreamError("altered: the payload is not valid");
            }
          });
        }
      }
      if (++fronts % FRONTS_PER_LESSON === 0) this.learn();
    }
    return this.symbols;
  }

  /** Returns a stage's channels, and what each symbol at each place of the window adds to their hidden units. */
  stage(number) {
    const { group, middle } = this, { window, hidden, centers } = this.prior;
    const first = group.indexOf(number), end = group.lastIndexOf(number) + 1, places = [];
    for (let above = 0; above <= ROWS_ABOVE; above++) {
      for (let aside = -COLUMNS_ASIDE; aside <= COLUMNS_ASIDE; aside++) {
        const place = (ROWS_ABOVE - above) * (2 * COLUMNS_ASIDE + 1) + COLUMNS_ASIDE + aside;
        const weights = (plane, channel) => {
          const at = (((place * PLANES + plane) * group.length + channel) * group.length + first) * hidden;
          return window.subarray(at, at + (end - first) * hidden);
        };
        for (const channel of range(0, group.length)) {
          if (number - group[channel] - aside + 2 * above <= 0) continue; // not decoded yet
          const ranks = weights(0, channel), magnitudes = weights(1, channel);
          const added = range(-middle, centers - middle).map((rank) =>
            ranks.map((weight, unit) => rank * weight + Math.abs(rank) * magnitudes[unit]),
          );
          places.push({ above, aside, channel, added });
        }
      }
    }
    return { number, first, end, places };
  }

  /** Returns the hidden units of a stage's channels at a position, or null outside the photo. */
  hiddenUnits(row, column, stage) {
    const { width, channels, symbols, middle } = this, { hidden } = this.prior;
    if (column < 0 || column >= width) return null;
    const units = this.hiddenBias.slice(stage.first * hidden, stage.end * hidden);
    for (const { above, aside, channel, added } of stage.places) {
      const r = row - above, c = column + aside;
      if (r < 0 || c < 0 || c >= width) continue;
      const symbol = symbols[(r * width + c) * channels + channel];
      if (symbol === middle) continue;
      const weights = added[symbol];
      for (let unit = 0; unit < units.length; unit++) units[unit] += weights[unit];
    }
    return units;
  }

  /** Computes the logits of a channel's symbols from its hidden units, which start at `from`, and their weights. */
  weigh(channel, units, from, logits, weights) {
    const { output, hidden, centers } = this.prior;
    let best = -Infinity;
    for (let symbol = 0; symbol < centers; symbol++) {
      let sum = 0;
      for (let unit = 0; unit < hidden; unit++) {
        sum += Math.max(0, units[from + unit]) * output[(channel * hidden + unit) * centers + symbol];
      }
      logits[symbol] = Math.min(LARGEST_LOGIT, Math.max(-LARGEST_LOGIT, sum / SCALE ** 2));
      weights[symbol] = logits[symbol] * this.gain[channel] + this.bias[channel * centers + symbol];
      best = Math.max(best, weights[symbol]);
    }
    for (let symbol = 0; symbol < centers; symbol++) {
      const steps = Math.trunc((best - weights[symbol]) * STEPS_PER_NAT);
      weights[symbol] = EXP[Math.min(steps, EXP.length - 1)];
    }
  }

  /** Adds a symbol and its prediction to the next lesson. */
  remember(channel, chosen, logits, weights) {
    const share = PROBABILITY / weights.reduce((sum, weight) => sum + weight);
    weights.forEach((weight, symbol) => {
      const residual = (symbol === chosen ? PROBABILITY : 0) - Math.floor(weight * share);
      this.residuals[channel * weights.length + symbol] += residual;
      this.slopes[channel] += residual * logits[symbol];
    });
    this.seen[channel]++;
  }

  /** Moves each channel's bias and gain along the gradient of the code length, in decreasing steps. */
  learn() {
    const { centers } = this.prior;
    this.bias.forEach((_, i) => {
      const seen = this.seen[Math.floor(i / centers)];
      this.bias[i] += (this.residuals[i] * (BIAS_SPEED / PROBABILITY)) / (BIAS_DELAY + seen);
    });
    this.gain.forEach((gain, channel) => {
      gain += (this.slopes[channel] * (GAIN_SPEED / PROBABILITY)) / (GAIN_DELAY + this.seen[channel]);
      this.gain[channel] = Math.min(GAIN_RANGE, Math.max(1 / GAIN_RANGE, gain));
    });
    this.residuals.fill(0);
    this.slopes.fill(0);
  }
}

function range(start, end) {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}
