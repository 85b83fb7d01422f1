// Compiles the contracts beside this file into ../artefacts (or, with --check, compares them byte by byte).
// Usage: npm install --no-package-lock && node build.js [--check] [--tests SOURCE_FOLDER TARGET_FOLDER]
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const here = __dirname;
const args = process.argv.slice(2);
const check = args.includes("--check");
const tests = args.indexOf("--tests");
const sourceDir = tests < 0 ? here : path.resolve(args[tests + 1]);
const targetDir = tests < 0 ? path.join(here, "..", "artefacts") : path.resolve(args[tests + 2]);
const evmVersion = "cancun";

function readImport(name) {
  const local = [path.join(here, name), path.join(here, "node_modules", name)];
  const found = local.find((file) => fs.existsSync(file));
  return found ? { contents: fs.readFileSync(found, "utf8") } : { error: `not found: ${name}` };
}

const names = fs.readdirSync(sourceDir).filter((name) => name.endsWith(".sol")).sort();
const sources = {};
for (const name of names) sources[name] = { content: fs.readFileSync(path.join(sourceDir, name), "utf8") };
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion,
    optimizer: { enabled: true, runs: 1000 },
    viaIR: true,
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: {
      "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode", "storageLayout"] },
    },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
const errors = (output.errors || []).filter((e) => e.severity === "error" || e.type === "Warning");
for (const error of output.errors || []) console.error(error.formattedMessage);
if (errors.length) process.exit(1);

// AST numbers depend on what else is compiled in the same run: they say nothing and would break the comparison.
const plainType = (text) => text.replace(/\)\d+/g, ")");
function storageLayout(layout) {
  return (layout.storage || []).map((entry) => ({
    label: entry.label, slot: entry.slot, offset: entry.offset, type: plainType(entry.type),
  }));
}

function artefact(name, contract) {
  const immutables = Object.values(contract.evm.deployedBytecode.immutableReferences || {}).flat()
    .sort((a, b) => a.start - b.start);
  return {
    contractName: name,
    compiler: solc.version(),
    evmVersion,
    optimizerRuns: 1000,
    viaIR: true,
    sourceSha256: crypto.createHash("sha256").update(sources[`${name}.sol`].content).digest("hex"),
    abi: contract.abi,
    bytecode: "0x" + contract.evm.bytecode.object,
    deployedBytecode: "0x" + contract.evm.deployedBytecode.object,
    immutableReferences: immutables,
    storageLayout: storageLayout(contract.storageLayout || {}),
  };
}

let stale = 0;
fs.mkdirSync(targetDir, { recursive: true });
for (const file of names) {
  const name = path.basename(file, ".sol");
  const contract = (output.contracts[file] || {})[name];
  if (!contract) continue;
  const text = JSON.stringify(artefact(name, contract), null, 1) + "\n";
  const target = path.join(targetDir, `${name}.json`);
  if (!check) fs.writeFileSync(target, text);
  else if (!fs.existsSync(target) || fs.readFileSync(target, "utf8") !== text) {
    console.error(`${name}.json differs from what ${file} compiles to: run 'make contracts' and commit it`);
    stale += 1;
  }
}
console.log(`${check ? "compared" : "built"} ${names.length} contracts with solc ${solc.version()}`);
process.exit(stale ? 1 : 0);
