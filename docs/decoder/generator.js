// The generator, run by LiteRT.js tile by tile: LiteRT.js needs networks of one fixed size.

import { Tensor, isWebGPUSupported, loadAndCompile, loadLiteRt } from "@litertjs/core";
import { STRIDE } from "./bitstream.js";

const WASM = new URL("node_modules/@litertjs/core/wasm/", import.meta.url).href;

export class Generator {
  /**
   * @param {object} model the content of model.json
   * @param {string} url of generator.tflite
   */
  static async load(model, url) {
    await loadLiteRt(WASM);
    const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const generator = new Generator();
    generator.model = model;
    generator.accelerator = isWebGPUSupported() ? "webgpu" : "wasm";
    try {
      generator.network = await loadAndCompile(bytes, { accelerator: generator.accelerator });
    } catch (error) {
      if (generator.accelerator === "wasm") throw error;
      generator.accelerator = "wasm"; // a browser may have WebGPU, but no graphics adapter for it
      generator.network = await loadAndCompile(bytes, { accelerator: "wasm" });
    }
    return generator;
  }

  /**
   * Paints a photo.
   *
   * @param {ReturnType<import("./symbols.js").decode>} file
   * @param {number} realism from 0 to 1
   * @param {(pixels: ImageData, left: number, top: number) => void} paint receives each part of the photo
   * @param {AbortSignal} signal ends it after the current tile
   */
  async paint(file, realism, paint, signal) {
    const [rows, columns] = file.shape;
    for (const vertical of windows(rows, this.model.tile, this.model.halo)) {
      for (const horizontal of windows(columns, this.model.tile, this.model.halo)) {
        await new Promise((done) => setTimeout(done)); // the page shows what is there so far
        if (signal.aborted) return;
        const photo = await this.tile(file, vertical.start, horizontal.start, realism);
        paint(this.pixels(photo, file, vertical, horizontal), horizontal.from * STRIDE, vertical.from * STRIDE);
      }
    }
  }

  /** Returns what the network paints from a tile's symbols: (16 tile, 16 tile, 3) in [-1, 1]. */
  async tile({ shape: [rows, columns, channels], symbols, level }, top, left, realism) {
    const { tile, centers } = this.model;
    const latents = new Float32Array(tile * tile * channels), inside = new Float32Array(tile * tile);
    for (let row = 0; row < Math.min(tile, rows - top); row++) {
      for (let column = 0; column < Math.min(tile, columns - left); column++) {
        inside[row * tile + column] = 1;
        const from = ((top + row) * columns + left + column) * channels, to = (row * tile + column) * channels;
        for (let i = 0; i < channels; i++) latents[to + i] = centers[symbols[from + i]];
      }
    }
    const inputs = {
      latents: new Tensor(latents, [tile, tile, channels]),
      inside: new Tensor(inside, [tile, tile]),
      level: new Tensor(Int32Array.of(level - 1), [1]),
      realism: new Tensor(Float32Array.of(realism), [1]),
    };
    const { photo } = await this.network.run(inputs);
    const found = await photo.moveTo("wasm");
    const values = found.toTypedArray().slice();
    [found, ...Object.values(inputs)].forEach((tensor) => tensor.delete());
    return values;
  }

  /** Returns the part of a tile that is the same as in the whole photo. */
  pixels(photo, file, vertical, horizontal) {
    const size = (side, { from, to }) => Math.min(side, to * STRIDE) - from * STRIDE;
    const width = size(file.width, horizontal), height = size(file.height, vertical);
    const pixels = new ImageData(width, height), side = this.model.tile * STRIDE;
    const top = (vertical.from - vertical.start) * STRIDE, left = (horizontal.from - horizontal.start) * STRIDE;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = ((top + y) * side + left + x) * 3, to = (y * width + x) * 4;
        for (let i = 0; i < 3; i++) pixels.data[to + i] = (photo[from + i] + 1) * 127.5; // rounded and clamped
        pixels.data[to + 3] = 255;
      }
    }
    return pixels;
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
