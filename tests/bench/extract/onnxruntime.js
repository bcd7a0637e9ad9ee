// usage: node onnxruntime.js MODULES FOLDER [THREADS]: onnxruntime-node (from
// the folder MODULES) on FOLDER/net.onnx. The protocol is contestant.py's.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');

function floats(file) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

async function main(modules, folder, threads) {
  const name = path.join(path.resolve(modules), 'onnxruntime-node');
  const ort = require(name);
  const version = require(path.join(name, 'package.json')).version;
  const options = {graphOptimizationLevel: 'all'};
  if (threads) options.intraOpNumThreads = Number(threads);
  const session = await ort.InferenceSession.create(
      path.join(folder, 'net.onnx'), options);
  const values = floats(path.join(folder, 'input.f32'));
  const input = new ort.Tensor(
      'float32', values, [values.length / (3 * 224 * 224), 3, 224, 224]);
  const run = () => session.run({input});

  const features = (await run()).features.data;
  const expected = floats(path.join(folder, 'features.f32'));
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < expected.length; ++i) {
    scale = Math.max(scale, Math.abs(expected[i]));
    worst = Math.max(worst, Math.abs(expected[i] - features[i]));
  }
  if (!(worst < 1e-3 * scale)) {
    throw new Error(`features are off by ${worst / scale}`);
  }
  console.log(`ready onnxruntime-node ${version}`);
  for await (const line of readline.createInterface({input: process.stdin})) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < Number(line); ++i) await run();
    console.log(Number(process.hrtime.bigint() - start) / 1e9);
  }
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(String(error));
  process.exit(1);
});
