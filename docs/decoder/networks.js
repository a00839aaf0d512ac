// Encoder and generator, run by LiteRT.js tile by tile: it needs networks of one fixed size.
//
// Tiles overlap by what the networks see, their halo, and what lies outside the photo is masked. So the result is the
// same as on the whole photo.

import { Tensor, isWebGPUSupported, loadAndCompile, loadLiteRt } from "@litertjs/core";
import { STRIDE } from "./bitstream.js";

const WASM = new URL("node_modules/@litertjs/core/wasm/", import.meta.url).href;
let started; // a promise, once a network is needed

/**
 * Loads a network, for WebGPU where the browser has it.
 *
 * @param {Response} answer with the content of a .tflite file
 */
export async function loadNetwork(answer) {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  await (started ??= loadLiteRt(WASM));
  if (isWebGPUSupported()) {
    try {
      return await loadAndCompile(bytes, { accelerator: "webgpu" });
    } catch {
      // A browser may have WebGPU, but no graphics adapter for it.
    }
  }
  return loadAndCompile(bytes, { accelerator: "wasm" });
}

/**
 * Paints a photo, and yields its parts as they are painted.
 *
 * @param {object} model the content of model.json
 * @param {ReturnType<import("./symbols.js").decode>} file
 * @param {number} realism from 0 to 1
 * @yields {{pixels: ImageData, left: number, top: number}}
 */
export async function* paint(generator, model, file, realism) {
  const { shape: [rows, columns, channels], symbols, level } = file, { tile, centers } = model;
  for await (const { vertical, horizontal } of tiles(rows, columns, tile, model.generator_halo)) {
    const latents = new Float32Array(tile * tile * channels);
    for (let row = vertical.start; row < Math.min(rows, vertical.start + tile); row++) {
      for (let column = horizontal.start; column < Math.min(columns, horizontal.start + tile); column++) {
        const from = (row * columns + column) * channels;
        const to = ((row - vertical.start) * tile + column - horizontal.start) * channels;
        for (let i = 0; i < channels; i++) latents[to + i] = centers[symbols[from + i]];
      }
    }
    const photo = await run(generator, "photo", {
      latents: [latents, [tile, tile, channels]],
      inside: [inside(rows, columns, tile), [tile, tile]],
      level: [Int32Array.of(level - 1), [1]],
      realism: [Float32Array.of(realism), [1]],
    });
    const pixels = picture(photo, file, tile, vertical, horizontal);
    yield { pixels, left: horizontal.from * STRIDE, top: vertical.from * STRIDE };
  }
}

/**
 * Computes the symbols of a photo at a level, without refining.
 *
 * @param {object} model the content of model.json
 * @param {ImageData} photo
 * @param {AbortSignal} signal ends it before the next tile
 * @returns {Promise<ReturnType<import("./symbols.js").decode>>}
 */
export async function encode(encoder, model, photo, level, signal) {
  const { width, height, data } = photo, { tile, channels } = model;
  const rows = Math.ceil(height / STRIDE), columns = Math.ceil(width / STRIDE), side = tile * STRIDE;
  const symbols = new Uint8Array(rows * columns * channels);
  for await (const { vertical, horizontal } of tiles(rows, columns, tile, model.encoder_halo)) {
    signal.throwIfAborted();
    const pixels = new Float32Array(side * side * 3);
    for (let y = 0; y < Math.min(side, (rows - vertical.start) * STRIDE); y++) {
      for (let x = 0; x < Math.min(side, (columns - horizontal.start) * STRIDE); x++) {
        const row = reflected(vertical.start * STRIDE + y, height), column = reflected(horizontal.start * STRIDE + x, width);
        const from = (row * width + column) * 4, to = (y * side + x) * 3;
        for (let i = 0; i < 3; i++) pixels[to + i] = Math.fround(data[from + i] / 127.5) - 1;
      }
    }
    const latents = await run(encoder, "latents", {
      photo: [pixels, [side, side, 3]],
      inside: [inside(rows, columns, tile), [tile, tile]],
      level: [Int32Array.of(level - 1), [1]],
    });
    for (let row = vertical.from; row < vertical.to; row++) {
      for (let column = horizontal.from; column < horizontal.to; column++) {
        const from = ((row - vertical.start) * tile + column - horizontal.start) * channels;
        const to = (row * columns + column) * channels;
        for (let i = 0; i < channels; i++) symbols[to + i] = nearest(latents[from + i], model.centers);
      }
    }
  }
  return { height, width, level, shape: [rows, columns, channels], symbols };
}

/** Runs a network on named arrays with their shapes, and returns the output of that name. */
async function run(network, output, arrays) {
  const tensors = Object.entries(arrays).map(([name, [array, shape]]) => [name, new Tensor(array, shape)]);
  try {
    const found = await (await network.run(Object.fromEntries(tensors)))[output].moveTo("wasm");
    const values = found.toTypedArray().slice();
    found.delete();
    return values;
  } finally {
    tensors.forEach(([, tensor]) => tensor.delete());
  }
}

/** Returns the part of a painted tile that is the same as in the whole photo. */
function picture(photo, { width, height }, tile, vertical, horizontal) {
  const size = (side, { from, to }) => Math.min(side, to * STRIDE) - from * STRIDE;
  const pixels = new ImageData(size(width, horizontal), size(height, vertical));
  const top = (vertical.from - vertical.start) * STRIDE, left = (horizontal.from - horizontal.start) * STRIDE;
  for (let y = 0; y < pixels.height; y++) {
    for (let x = 0; x < pixels.width; x++) {
      const from = ((top + y) * tile * STRIDE + left + x) * 3, to = (y * pixels.width + x) * 4;
      for (let i = 0; i < 3; i++) pixels.data[to + i] = (photo[from + i] + 1) * 127.5; // rounded and clamped
      pixels.data[to + 3] = 255;
    }
  }
  return pixels;
}

/** Yields the windows of a photo's tiles, and lets the page show what is there so far before each. */
async function* tiles(rows, columns, tile, halo) {
  for (const vertical of windows(rows, tile, halo)) {
    for (const horizontal of windows(columns, tile, halo)) {
      await new Promise((done) => setTimeout(done));
      yield { vertical, horizontal };
    }
  }
}

/** Returns the windows along a side: where each starts, and the positions `from` to `to` that it is used for. */
function windows(side, tile, halo) {
  const found = [{ start: 0, from: 0, to: side <= tile ? side : tile - halo }];
  while (found.at(-1).to < side) {
    const from = found.at(-1).to, start = Math.min(from - halo, side - tile);
    found.push({ start, from, to: start + tile === side ? side : start + tile - halo });
  }
  return found;
}

/** Returns 1 for the positions of a tile that lie in the photo. A tile is larger only if the photo is smaller. */
function inside(rows, columns, tile) {
  return Float32Array.from({ length: tile * tile }, (_, i) => Number(Math.floor(i / tile) < rows && i % tile < columns));
}

/** Returns the pixel that padding by reflection puts at a place. */
function reflected(place, length) {
  const period = Math.max(1, 2 * (length - 1)), within = place % period;
  return Math.min(within, period - within);
}

function nearest(latent, centers) {
  let best = 0;
  for (let i = 1; i < centers.length; i++) {
    if (Math.abs(latent - centers[i]) < Math.abs(latent - centers[best])) best = i;
  }
  return best;
}
