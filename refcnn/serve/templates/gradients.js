"use strict";
// What each number did to the loss: maps of gradients in place of the values, and where each gradient comes from.

const lossClass = byId("loss-class");
// The image's own gradient, which has no place among the layers.
let imageEntry = null, walkingBack = null;

const ofClass = () => (lossClass.value === "" ? "" : `&class=${lossClass.value}`);

/** What the loss is, in words. */
function lossText({ name, class: one }) {
  if (name === "score") return `the score of ${one}`;
  if (name === "negative log") return `the loss (negative logarithm of the probability of ${one})`;
  return `the loss (${name} against ${one})`;
}

function showGradients(found) {
  if (!isBackwards()) return;
  if (imageEntry === null) {
    imageEntry = makeEntry(found.image);
    byId("layer-list").prepend(imageEntry.box);
    byId("walk-layer").prepend(make("option", { textContent: found.image.name, value: -1 }));
  }
  showEntry(imageEntry, found.image, found.image.why);
  found.layers.forEach((layer, number) => showEntry(layers[number], layer, layer.why ?? "Its gradient is no image."));
  const value = numberText(found.loss.value ?? NaN);
  byId("layers-time").textContent = `The gradients are those of ${lossText(found.loss)}, which is ${value}; ` +
    `they were computed in ${numberText(1000 * found.seconds)} ms.`;
  for (const canvas of imageEntry.canvases) canvas.style.width = "10rem";
  showImageEntry();
  if (walkingBack !== null) markBack(walkingBack);
}

/** The image has a gradient, but its values are shown elsewhere. */
function showImageEntry() {
  if (imageEntry === null) return;
  imageEntry.box.hidden = !isBackwards();
  byId("walk-layer").options[0].hidden = !isBackwards();
  if (!isBackwards() && byId("walk-layer").value === "-1") byId("walk-layer").value = 0;
}

const gradientFollower = new Follower("api/gradients", showGradients,
  () => (byId("layers").open && isBackwards() ? `${ofClass()}${openLayers()}` : null));
const backFollower = new Follower("api/gradient-walk", showBack,
  () => (byId("layers").open && isBackwards() && chosen !== null ? `${ofClass()}${chosen}` : null));
followers.push(gradientFollower, backFollower);

/** Outline the map of a number, and colour on the gradients of what was computed from it what was handed back. */
function markBack(walk) {
  markChosen(walk.layer === null ? imageEntry : layers[walk.layer], walk.index);
  for (const part of walk.parts) if (part.layer !== null) markWindow(layers[part.layer], part.window);
}

/** What one layer hands back. */
function partOf(part, device) {
  const box = make("div", { className: "grids" });
  const isOfGradient = ({ array }) => array === "dy";
  const isProducts = part.terms.some(({ factors }) => factors.length === 2 && factors.some(isOfGradient));
  const handed = part.terms.flatMap(({ factors }) => factors.filter(isOfGradient)).map(({ index }) => String(index));
  if (part.formula === "sum" && isProducts && channelsOf(part.terms, "dy").length) {
    showProducts(part, box, "dy", `gradient of ${part.name}`);
  } else {
    if (part.window.length > 1) {
      const caption = `The gradient of ${part.name} where this number was looked at; framed is what was handed on`;
      box.append(windowTable(caption,
        part.window.slice(0, MOST_CELLS).map(({ index, value }) => ({
          place: index, value, isWinner: handed.includes(String(index)),
        })), largest(part.window, ({ value }) => value)));
    }
    const isApart = part.names === part.numbers;
    box.append(...(isApart ? [lineOf(`Nothing there was computed from this number: ${part.names}.`)] : formulaOf(part)));
    if (part.names.includes("winner")) {
      box.append(lineOf("The winner is the largest of its window, whose pixels are counted row by row."));
    }
  }
  return [make("p", { textContent: `From ${part.name}, whose gradient is dy:` }), box, measuresOf(part, device)];
}

/** What a number did to the loss, in a sentence. */
function effectOf(walk) {
  const loss = lossText(walk.loss), change = walk.gradient;
  if (change === null) return `Its gradient is not finite: a little change of it changes ${loss} beyond all numbers.`;
  if (change === 0) return `Raising this number by a little does not change ${loss}.`;
  return `Raising this number by a little changes ${loss} by ${numberText(change)} a unit: ` +
    `${change > 0 ? "it grows" : "it falls"}.`;
}

function showBack(walk) {
  if (!isBackwards()) return;
  const name = `${walk.name}[${walk.index.join(", ")}]`;
  const sum = walk.parts.map(({ name: one, on_device: share }) => `${numberText(share ?? NaN)} (${one})`).join(" + ");
  byId("walk-answer").replaceChildren(
    make("p", {}, make("strong", { textContent: `The gradient of ${name} = ${told(walk.gradient)}` }),
      ` It is ${told(walk.value)} itself. ${effectOf(walk)}`),
    ...(walk.parts.length > 1 ? [make("p", { textContent:
      `It is the sum of the gradients from these layers: ${sum} = ${numberText(walk.gradient ?? NaN)}` })] : []),
    ...(walk.sum ? [measuresOf({ ...walk.sum, on_device: walk.gradient }, walk.device)] : []),
    ...walk.parts.flatMap((part) => partOf(part, walk.device)));
  reachWide();
  walkingBack = walk;
  gradientFollower.follow(latest);
}

for (const field of [byId("shown-value"), byId("shown-gradient")]) {
  field.addEventListener("change", () => {
    walking = walkingBack = null;
    byId("loss-label").hidden = !isBackwards();
    showImageEntry();
    if (lastGiven !== null) paintImage(byId("given"), lastGiven);
    followLayers();
    if (chosen !== null) walkTo();
  });
}
lossClass.addEventListener("change", () => {
  followLayers();
  if (latest) backFollower.follow(latest);
});
