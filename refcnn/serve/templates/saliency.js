"use strict";
// On which pixels the score of a class depends, for the image at hand.

const saliencyFields = { method: byId("saliency-method"), class: byId("saliency-class"),
  layer: byId("saliency-layers").querySelector("select") };

const methodNames = Object.fromEntries([...saliencyFields.method].map(({ value, text }) => [value, text]));

function showSaliency(found) {
  const canvas = byId("saliency-map");
  [, canvas.height, canvas.width] = found.map.shape;
  paintMap(canvas, bytesOf(found.map), 0, coloursOf(found.map));
  const range = found.map.low < 0 ? `blue is ${numberText(found.map.low)}, white 0, red ${numberText(found.map.high)}` :
    found.map.high > 0 ? `black is 0, white ${numberText(found.map.high)}` : "nothing there speaks for it";
  byId("saliency-text").textContent = `By ${methodNames[found.method]} for ${found.class}, whose score is ${numberText(found.score ?? NaN)}: ${range}; ` +
    `${numberText(1000 * found.seconds)} ms.`;
  byId("saliency-layers").hidden = !found.layers.length;
  if (found.layers.length && !saliencyFields.layer.length) {
    saliencyFields.layer.replaceChildren(
      ...found.layers.map(({ layer, name }) => make("option", { value: layer, textContent: name })));
    saliencyFields.layer.selectedIndex = found.layers.length - 1;
  }
}

function saliencyQuery() {
  if (!byId("saliency").open) return null;
  const { method, class: one, layer } = saliencyFields;
  const ofClass = one.value === "" ? "" : `&class=${one.value}`;
  const ofLayer = method.value !== "grad-cam" || layer.value === "" ? "" : `&layer=${layer.value}`;
  return `&method=${method.value}${ofClass}${ofLayer}`;
}

const saliencyFollower = new Follower("api/saliency", showSaliency, saliencyQuery);
followers.push(saliencyFollower);
function askSaliency() {
  for (const formula of document.querySelectorAll(".formula")) {
    formula.hidden = formula.dataset.method !== saliencyFields.method.value;
  }
  if (latest) saliencyFollower.follow(latest);
  else if (byId("saliency").open) takeSheet();
}
byId("saliency").addEventListener("toggle", askSaliency);
for (const field of Object.values(saliencyFields)) field.addEventListener("change", askSaliency);
