// Builds ../built from s.js: minified, ES2017, gzip and brotli; page.ts must agree with the types. With --check it only says whether ../built is what s.js makes.
// Compressors differ between versions of Node: the check compares the minified text, and what the compressed files hold.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { parse } from 'acorn';
import { minify } from 'terser';
import ts from 'typescript';

const MAX_GZIP_BYTES = 4096;
const at = (name) => new URL(name, import.meta.url);
const { code } = await minify(readFileSync(at('s.js'), 'utf8'), {
  ecma: 2017,
  toplevel: true,
  compress: { passes: 4, unsafe_arrows: true, keep_fargs: false, pure_getters: true },
  format: { comments: false },
});
parse(code, { ecmaVersion: 2017, sourceType: 'script' });  // throws at what browsers of that year cannot read
const text = Buffer.from(code + '\n');
const gzip = gzipSync(text, { level: 9, memLevel: 9 });
if (gzip.length > MAX_GZIP_BYTES) {
  console.error(`the script has ${gzip.length} bytes compressed; ${MAX_GZIP_BYTES} is what a page may be asked for`);
  process.exit(1);
}
const wrong = ts.getPreEmitDiagnostics(ts.createProgram([fileURLToPath(at('page.ts'))], { strict: true, noEmit: true, types: [], lib: ['lib.es2017.d.ts', 'lib.dom.d.ts'] }));
if (wrong.length) {
  console.error(ts.formatDiagnostics(wrong, { getCurrentDirectory: () => '.', getCanonicalFileName: (name) => name, getNewLine: () => '\n' }));
  process.exit(1);
}
if (process.argv.includes('--check')) {
  const held = [(x) => x, gunzipSync, brotliDecompressSync].map((open, n) => open(readFileSync(at(`../built/s.js${['', '.gz', '.br'][n]}`))));
  if (!held.every((each) => each.equals(text))) {
    console.error('gateway/snippet/built is not what gateway/snippet/source/s.js makes: run `make snippet` and commit the result');
    process.exit(1);
  }
} else {
  const brotli = brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: text.length, [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT } });
  mkdirSync(at('../built'), { recursive: true });
  [['', text], ['.gz', gzip], ['.br', brotli]].forEach(([suffix, data]) => writeFileSync(at(`../built/s.js${suffix}`), data));
  console.log(`s.js: ${text.length} bytes, ${gzip.length} gzip, ${brotli.length} brotli`);
}
