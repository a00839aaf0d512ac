// Entropy coding beside the page, which stays responsive.

import { Prior } from "./context_model.js";
import { decode, encode } from "./symbols.js";

/** Receives the model, the content of prior.bin, and either the bytes of a .bin file or a file to encode. */
onmessage = ({ data: { model, content, bytes, maxPixels, file } }) => {
  try {
    const prior = new Prior(model, content);
    postMessage({ result: bytes ? decode(bytes, model, prior, maxPixels) : encode(file, model, prior) });
  } catch (error) {
    postMessage({ error: error.message });
  }
};
