// Bundles GraphiQL, its workers and our operations into the folder that is named as the
// argument. Files are named by their contents, so that they may be cached for ever, and
// are stored compressed, as nearly every browser asks for them.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { operations } from "./operations.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const target = resolve(process.argv[2] ?? join(HERE, "../hefu/static"));
const graphql = resolve(process.argv[3] ?? join(HERE, "../graphql"));
const made = `${target}.new`;

const WORKERS = {
  editor: "monaco-editor/esm/vs/editor/editor.worker.js",
  json: "monaco-editor/esm/vs/language/json/json.worker.js",
  graphql: "monaco-graphql/esm/graphql.worker.js",
};

async function bundled(options) {
  const result = await build({
    bundle: true,
    write: false,
    minify: true,
    legalComments: "none",
    target: "es2022",
    absWorkingDir: HERE,
    outdir: made,
    define: { "process.env.NODE_ENV": '"production"' },
    loader: { ".ttf": "dataurl", ".woff2": "dataurl", ".svg": "dataurl" },
    logLevel: "warning",
    ...options,
  });
  return result.outputFiles;
}

function stored(name, contents) {
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 16);
  const extension = extname(name);
  const full = `${basename(name, extension)}-${hash}${extension}`;
  writeFileSync(join(made, `${full}.gz`), gzipSync(contents, { level: 9 }));
  return full;
}

async function workers() {
  const names = {};
  for (const [label, module] of Object.entries(WORKERS)) {
    const [file] = await bundled({ entryPoints: [require.resolve(module)], format: "iife" });
    names[label] = stored(`${label}.worker.js`, file.contents);
  }
  return names;
}

async function page(workerNames) {
  const files = await bundled({
    entryPoints: [join(HERE, "page.jsx")],
    format: "esm",
    jsx: "automatic",
    define: {
      "process.env.NODE_ENV": '"production"',
      WORKERS: JSON.stringify(workerNames),
      OPERATIONS: JSON.stringify(operations(graphql)),
    },
  });
  const of = (extension) => files.find((file) => file.path.endsWith(extension));
  return {
    script: stored("page.js", of(".js").contents),
    style: stored("page.css", of(".css").contents),
  };
}

rmSync(made, { recursive: true, force: true });
mkdirSync(made, { recursive: true });
const { script, style } = await page(await workers());
const html = readFileSync(join(HERE, "page.html"), "utf8");
const filled = html.replace("{script}", script).replace("{style}", style);
writeFileSync(join(made, "page.html"), filled);
rmSync(target, { recursive: true, force: true });
renameSync(made, target);
