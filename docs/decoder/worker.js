// Decodes symbols beside the page, which stays responsive.

import { Prior } from "./context_model.js";
import { decode } from "./symbols.js";

let prior;

onmessage = ({ data: { model, content, file } }) => {
  prior ??= new Prior(model, content);
  try {
    postMessage({ file: decode(file, model, prior) });
  } catch (error) {
    postMessage({ error: error.message });
  }
};
