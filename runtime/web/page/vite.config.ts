import { defineConfig } from "vite";
import type { Plugin } from "vite";

/** onnxruntime's WebAssembly (14 MB) is not part of the page: `aaptvae` puts it beside the page, or names where it is. */
const withoutWasm: Plugin = {
  name: "without-wasm",
  generateBundle(_, bundle) {
    for (const name of Object.keys(bundle)) if (name.endsWith(".wasm")) delete bundle[name];
  },
};

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  plugins: [withoutWasm],
  build: {
    outDir: "../../aaptvae/explorer/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: { entryFileNames: "explorer.js", chunkFileNames: "[name].js", assetFileNames: "explorer[extname]" },
    },
  },
});
