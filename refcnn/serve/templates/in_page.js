"use strict";
// The same file in this page, by onnxruntime-web from this server, which judges what every operator of it computes.

const arrayKinds = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, float16: Uint16Array, bool: Uint8Array,
};

const here = (path) => new URL(path, document.baseURI).href;

/** What the server answers, as the named method of a Response gives it. */
async function answered(method, path, body) {
  const answer = await fetch(path, body === undefined ? {} : { method: "POST", body });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer[method]();
}

async function loadRuntime() {
  const runtime = await import(here(model.onnxruntime_web.module));
  runtime.env.logLevel = "fatal";
  // More threads need memory that they share, which a page has only if it is isolated from all others.
  Object.assign(runtime.env.wasm, { numThreads: 1, wasmPaths: { wasm: here(model.onnxruntime_web.webassembly) } });
  const session = async (name, options) => runtime.InferenceSession.create(
    new Uint8Array(await answered("arrayBuffer", `api/in-page/${name}`)), options);
  return {
    Tensor: runtime.Tensor,
    deployed: await session("file.onnx", {}),
    stepwise: await session("stepwise.onnx", { graphOptimizationLevel: "disabled" }),
  };
}

let loading = null;
/** The library with the file in it, loaded once, when it is asked for. */
function loaded() {
  loading ??= loadRuntime();
  loading.catch(() => { loading = null; });
  return loading;
}

/** The shortest of a few times, in seconds; the clock is so coarse that each is the mean of several. */
async function shortest(compute) {
  let best = Infinity;
  for (let repetition = 0; repetition < 3; repetition++) {
    const begin = performance.now();
    let count = 0, end = begin;
    do {
      await compute();
      count++;
      end = performance.now();
    } while (end - begin < 5);
    best = Math.min(best, (end - begin) / count / 1000);
  }
  return best;
}

/** The row of executors for an image, a Blob, also where it cannot be computed. */
async function computedInPage(image) {
  try {
    const form = wantedForm();
    const { input, outputs, tensors } = await answered("json", `api/in-page/task?form=${form ?? ""}`, image);
    const { Tensor, deployed, stepwise } = await loaded();
    const data = new arrayKinds[input.type](bytesOf(input).buffer);
    const feeds = { [input.name]: new Tensor(input.type, data, input.shape) };
    const found = await deployed.run(feeds);
    const seconds = await shortest(() => deployed.run(feeds));
    const steps = await stepwise.run(feeds);
    const all = [...outputs.map((name) => found[name]), ...tensors.map((name) => steps[name])];
    const arrays = all.map(({ type, dims }) => ({ type, shape: dims }));
    const head = `${JSON.stringify({ image: image.size, form, seconds, arrays })}\n`;
    const body = new Blob([head, image, ...all.map((one) => one.data)]);
    return (await answered("json", "api/in-page/results", body)).executors[0];
  } catch (error) {
    return { name: model.onnxruntime_web.name, is_usable: false, seconds: null, class: null, difference: null, ratio: null,
      node: "", parts: String(error.message ?? error).slice(0, 300) };
  }
}
