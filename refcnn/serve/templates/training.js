"use strict";
// Curves and kernels of a training, asked for anew each second.

const { diverging } = JSON.parse(document.getElementById("data").textContent);
const byId = (name) => document.getElementById(name);
const pictures = [];

/** The colour, [red, green, blue], of a whole number from 0 to 255, of which the middle is zero. */
function colourOf(step, isSigned) {
  if (!isSigned) return [step, step, step];
  const place = (step / 255) * (diverging.length - 1);
  const before = Math.min(diverging.length - 2, Math.floor(place));
  return diverging[before].map((value, colour) => value + (place - before) * (diverging[before + 1][colour] - value));
}

function showKernels(picture) {
  const [count, height, width] = picture.shape;
  const bytes = Uint8Array.from(atob(picture.values), (letter) => letter.charCodeAt(0));
  const box = byId("kernels");
  while (box.children.length < count) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Kernel ${Math.floor(box.children.length / picture.channels)}`);
    box.append(canvas);
  }
  [...box.children].forEach((canvas, number) => {
    const image = new ImageData(width, height);
    for (let pixel = 0; pixel < height * width; pixel++) {
      image.data.set(colourOf(bytes[number * height * width + pixel], picture.low < 0), 4 * pixel);
      image.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  });
  byId("step-text").textContent = String(picture.step);
  byId("kernels-text").textContent = `From ${picture.low.toPrecision(3)}, blue, over 0, white, to ` +
    `${picture.high.toPrecision(3)}, red` + (picture.channels > 1 ? `; ${picture.channels} channels of each beside each other.` : ".");
}

byId("step").addEventListener("input", (event) => showKernels(pictures[event.target.value]));

let playing = null;
byId("play").addEventListener("click", () => {
  clearInterval(playing);
  byId("step").value = 0;
  playing = setInterval(() => {
    if (!pictures.length || Number(byId("step").value) >= pictures.length - 1) clearInterval(playing);
    else byId("step").stepUp();
    if (pictures.length) showKernels(pictures[byId("step").value]);
  }, 150);
});

byId("stop").addEventListener("click", async () => {
  byId("stop").disabled = true;
  byId("place").textContent = "Stopping: the batch is finished and a checkpoint written.";
  await fetch("api/stop", { method: "POST" }).catch(() => {});
});

/** Take what is new; the kernels shown follow the training while the last ones are shown. */
function take(state) {
  if (state.step === undefined) return;
  if (!byId("stop").disabled) {
    byId("place").textContent = state.is_over ? "The training is over; its pictures and the proof follow." :
      `Step ${state.step}; ${state.epoch} of ${state.epochs} epochs are done.`;
  }
  const isLatest = Number(byId("step").value) >= pictures.length - 1;
  pictures.push(...state.kernels);
  byId("step").max = Math.max(0, pictures.length - 1);
  if (state.kernels.length && isLatest) {
    byId("step").value = pictures.length - 1;
    showKernels(pictures.at(-1));
  }
}

async function follow() {
  try {
    const state = await (await fetch(`api/training?after=${pictures.at(-1)?.step ?? ""}`)).json();
    take(state);
    const charts = byId("charts");
    // Not under the hands of one who reads the numbers.
    if (!charts.querySelector("details[open]")) charts.innerHTML = await (await fetch("charts")).text();
    byId("error").textContent = "";
  } catch {
    byId("error").textContent = "The training does not answer: it is over, or was stopped.";
    byId("stop").disabled = true;
    return;
  }
  setTimeout(follow, 1000);
}
follow();
