"use strict";
// All layers of the network for the image at hand, and where one of their numbers comes from.

const make = (tag, fields = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children);
  return element;
};

// ---- Colours

/** The colour, [red, green, blue], of a part from 0 to 1 of a scale with zero in the middle. */
function divergingColour(part) {
  const place = Math.min(1, Math.max(0, part)) * (model.diverging.length - 1);
  const before = Math.min(model.diverging.length - 2, Math.floor(place));
  const [from, to] = [model.diverging[before], model.diverging[before + 1]];
  return from.map((value, colour) => Math.round(value + (place - before) * (to[colour] - value)));
}
/** As WCAG has it; from 0.179 on black is easier to read on a colour than white. */
function luminance(colour) {
  const [red, green, blue] = colour.map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
const divergingColours = Array.from({ length: 256 }, (_, step) => divergingColour(step / 255));
const greyColours = Array.from({ length: 256 }, (_, step) => [step, step, step]);
const coloursOf = (quantised) => (quantised.low < 0 ? divergingColours : greyColours);

// ---- Maps

// By their numbers.
const layers = [];

function paintMap(canvas, bytes, first, colours) {
  const image = new ImageData(canvas.width, canvas.height);
  for (let pixel = 0; pixel < canvas.width * canvas.height; pixel++) {
    image.data.set(colours[bytes[first + pixel]], 4 * pixel);
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function makeCanvas(entry, number, height, width) {
  const { layer } = entry;
  const canvas = make("canvas", { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Map ${number} of ${layer.name}`);
  if (layer.shape.length === 1) {
    canvas.className = "strip";
    canvas.style.height = `${Math.max(1.4, 0.16 * height)}rem`;
  }
  if (layer.shape.length > 1) canvas.style.width = `${Math.max(56, Math.min(112, 2 * width))}px`;
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * height);
    const column = Math.floor(((event.clientX - box.left) / box.width) * width);
    choose(entry, number, row, column);
  });
  return canvas;
}

/** Show the maps of a layer, and for the first time make their canvases. */
function showMaps(entry, layer) {
  const [count, height, width] = layer.maps.shape;
  if (entry.canvases.length !== count) {
    entry.canvases = Array.from({ length: count }, (_, number) => makeCanvas(entry, number, height, width));
    entry.maps.replaceChildren(...entry.canvases);
  }
  const bytes = bytesOf(layer.maps), colours = coloursOf(layer.maps);
  entry.canvases.forEach((canvas, number) => paintMap(canvas, bytes, number * height * width, colours));
  const others = layer.maps.count - count;
  entry.scale.textContent = `From ${numberText(layer.maps.low)} to ${numberText(layer.maps.high)}` +
    `${others ? `; ${others} further maps are not shown` : ""}` +
    `${layer.maps.pixels > 1 ? `; each pixel is the mean of ${layer.maps.pixels}×${layer.maps.pixels}` : ""}.`;
}

/** Make the place of what has maps: of a layer, or of the image itself. */
function makeEntry(layer) {
  const entry = {
    layer, canvases: [], maps: make("div", { className: "maps" }), scale: make("p", { className: "faint" }),
  };
  const shape = layer.shape.join("×");
  const of = layer.inputs?.length ? ` of ${layer.inputs.join(", ")}` : "";
  entry.box = make("details", { className: "layer", open: layer.maps !== undefined },
    make("summary", {}, `${layer.name} `, make("small", { textContent: `${shape}${of}` })), entry.maps, entry.scale);
  entry.box.addEventListener("toggle", () => { if (entry.box.open) followLayers(); });
  return entry;
}

function makeLayer(layer) {
  const entry = makeEntry(layer);
  byId("layer-list").append(entry.box);
  layers.push(entry);
  byId("walk-layer").append(make("option", { textContent: layer.name, value: layers.length - 1 }));
}

/** Show what there is of a layer: maps, or why there are none. */
function showEntry(entry, found, none) {
  if (!found.has_maps) {
    entry.canvases = [];
    entry.maps.replaceChildren();
    entry.scale.textContent = none;
  }
  if (found.maps === undefined) return;
  entry.layer = { ...entry.layer, ...found };
  showMaps(entry, entry.layer);
}

function showLayers(found) {
  if (isBackwards()) return;
  found.layers.forEach((layer, number) => {
    if (number >= layers.length) makeLayer(layer);
    showEntry(layers[number], layer, "Its result is no image.");
  });
  byId("walk").hidden = false;
  byId("layers-time").textContent = `All layers were computed in ${numberText(1000 * found.seconds)} ms.`;
  if (walking !== null) markSource(walking);
}

const isBackwards = () => byId("shown-gradient").checked && layers.length > 0;

/** Which maps are wanted: those of layers that are open. */
function openLayers() {
  return layers.length ? `&layers=${[...layers.keys()].filter((number) => layers[number].box.open)}` : "";
}

const layerFollower = new Follower("api/layers", showLayers,
  () => (byId("layers").open && !isBackwards() ? openLayers() : null));
followers.push(layerFollower);

/** Have the maps follow the image: those of values or of gradients, whichever are looked at. */
function followLayers() {
  if (!latest) return;
  layerFollower.follow(latest);
  gradientFollower.follow(latest);
}
byId("layers").addEventListener("toggle", () => {
  if (latest) followLayers();
  else takeSheet();
});

// ---- Where a number comes from

let chosen = null, walking = null;
const fields = ["map", "row", "column"].map((name) => byId(`walk-${name}`).querySelector("input"));

/** The index in a layer's result, whose vectors are shown in rows. */
function indexOf(layer, map, row, column) {
  const pixels = layer.maps?.pixels ?? 1;
  if (layer.shape.length === 3) return [map, row * pixels, column * pixels];
  if (layer.shape.length === 2) return [row, column];
  return [row * (layer.maps?.shape[2] ?? 1) + column];
}

function choose(entry, map, row, column) {
  const { layer } = entry;
  const index = indexOf(layer, map, row, column);
  if (index.some((one, axis) => one >= layer.shape[axis])) return;
  // That of the image is below 0.
  byId("walk-layer").value = layers.indexOf(entry);
  setFields(layer);
  fields.slice(3 - index.length).forEach((field, axis) => { field.value = index[axis]; });
  walkTo();
}

/** Offer as many numbers as the index of a layer has. */
function setFields(layer) {
  fields.forEach((field, place) => {
    const axis = place - (3 - layer.shape.length);
    field.parentElement.hidden = axis < 0;
    field.max = axis < 0 ? 0 : layer.shape[axis] - 1;
    field.value = Math.min(field.value, field.max);
  });
}

function walkTo() {
  const number = Number(byId("walk-layer").value);
  const { layer } = number < 0 ? imageEntry : layers[number];
  setFields(layer);
  const index = fields.filter((field) => !field.parentElement.hidden).map((field) => Number(field.value));
  chosen = `${number < 0 ? "" : `&layer=${number}`}&index=${index.join(",")}`;
  if (!latest) return;
  walkFollower.follow(latest);
  backFollower.follow(latest);
}

const walkFollower = new Follower("api/walk", showWalk, () => (byId("layers").open && !isBackwards() ? chosen : null));
followers.push(walkFollower);
byId("walk-form").addEventListener("submit", (event) => {
  event.preventDefault();
  walkTo();
});
byId("walk-layer").addEventListener("change", walkTo);
for (const field of fields) field.addEventListener("change", walkTo);

/** Outline the map of a number that was chosen. */
function markChosen({ layer, canvases }, index) {
  for (const canvas of document.querySelectorAll(".maps canvas.chosen")) canvas.classList.remove("chosen");
  canvases[layer.shape.length === 3 ? index[0] : 0]?.classList.add("chosen");
}

/** Outline on the maps that a number was computed from what was read for it. */
function markSource(walk) {
  markChosen(layers[walk.layer], walk.index);
  markWindow(layers.find(({ layer: one }) => one.name === walk.input), walk.window);
}

/** Colour what was read of the maps of a layer, or if there is none of what the network was given. */
function markWindow(source, window) {
  const spatial = window.filter(({ index }) => index.length === 3);
  if (!spatial.length) return;
  const pixels = source?.layer.maps?.pixels ?? 1;
  const box = [1, 2].map((axis) => {
    const places = spatial.map(({ index }) => Math.floor(index[axis] / pixels));
    return [Math.min(...places), Math.max(...places)];
  });
  const read = new Set(spatial.map(({ index }) => index[0]));
  if (!source) paintImage(byId("given"), lastGiven);
  const targets = source ? [...read].map((map) => source.canvases[map]) : [byId("given")];
  for (const canvas of targets.filter(Boolean)) {
    const drawing = canvas.getContext("2d");
    drawing.fillStyle = "rgba(255, 200, 0, .45)";
    drawing.fillRect(box[1][0], box[0][0], box[1][1] - box[1][0] + 1, box[0][1] - box[0][0] + 1);
  }
}

// Numbers of a vector beside each other, and of a sum over one at most.
const IN_ROW = 6, MOST_OF_VECTOR = 48;

/** A table of the numbers of a window, of one channel; of a vector in rows. */
function windowTable(caption, cells, limit) {
  const isVector = cells.every(({ place }) => place.length < 2);
  const rowOf = (cell) => (isVector ? Math.floor(cells.indexOf(cell) / IN_ROW) : cell.place.at(-2));
  const rows = [...new Set(cells.map(rowOf))].sort((a, b) => a - b);
  const table = make("table", { className: "window" });
  for (const row of rows) {
    const line = table.insertRow();
    const inRow = cells.filter((cell) => rowOf(cell) === row);
    if (!isVector) inRow.sort((a, b) => a.place.at(-1) - b.place.at(-1));
    for (const { place, value, isPadding, isWinner } of inRow) {
      const cell = line.insertCell();
      cell.textContent = value === null ? "pad" : numberText(value);
      cell.title = `[${place.join(", ")}]`;
      const colour = divergingColour(0.5 + (value ?? 0) / (2 * (limit || 1)));
      if (isPadding) cell.className = "padding";
      else {
        cell.style.background = `rgb(${colour.join(" ")})`;
        cell.style.color = luminance(colour) < 0.179 ? "#fff" : "#000";
      }
      if (isWinner) cell.classList.add("winner");
    }
  }
  return make("figure", {}, make("figcaption", { textContent: caption }), table);
}

const MOST_CHANNELS = 4, MOST_CELLS = 225;

/** The channels of a sum of products with an array: what each adds, and its numbers, those that add most first. */
function channelsOf(terms, array) {
  const channels = new Map();
  for (const term of terms) {
    const x = term.factors.find((factor) => factor.array === array);
    const w = term.factors.find((factor) => factor.array !== array);
    if (!x || !w) continue;
    const channel = x.index.length > 1 ? x.index[0] : 0;
    if (!channels.has(channel)) channels.set(channel, { channel, sum: 0, cells: [] });
    const entry = channels.get(channel);
    entry.sum += term.value ?? 0;
    entry.cells.push({ x, w, product: term.value });
  }
  return [...channels.values()].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
}

function largest(cells, pick) {
  return Math.max(...cells.map((cell) => Math.abs(pick(cell) ?? 0)), 0);
}

/** Show a sum of products with an array, x or dy, of which a caption says what it is. */
function showProducts(walk, box, array = "x", what = "input") {
  const channels = channelsOf(walk.terms, array);
  const bias = walk.terms.filter((term) => term.factors.length === 1).reduce((sum, term) => sum + term.value, 0);
  const shown = channels.slice(0, MOST_CHANNELS);
  for (const { channel, sum, cells } of shown) {
    const isVector = cells[0].x.index.length < 2;
    // Of a vector, which has no places beside each other, those that add most.
    const byAmount = (a, b) => Math.abs(b.product ?? 0) - Math.abs(a.product ?? 0);
    const part = isVector ? [...cells].sort(byAmount).slice(0, MOST_OF_VECTOR) : cells.slice(0, MOST_CELLS);
    const some = cells.length > part.length ? `, the ${part.length} of ${cells.length} that add most` : "";
    const which = isVector ? some : `, map ${channel}`;
    const table = (caption, pick, isOfInput) => windowTable(caption, part.map((cell) => ({
      place: cell.x.index, value: pick(cell), isPadding: isOfInput && cell.x.is_padding,
    })), largest(part, pick));
    box.append(make("div", { className: "row" },
      table(`${what}${which}`, (cell) => cell.x.value, true), "×",
      table("kernel", (cell) => cell.w.value, false), "=",
      table(`products, their sum is ${numberText(sum)}`, (cell) => cell.product, false)));
  }
  const others = channels.slice(MOST_CHANNELS).reduce((sum, { sum: one }) => sum + one, 0) + (walk.others.sum ?? 0);
  const rest = channels.length - shown.length;
  const texts = shown.map(({ channel, sum, cells }) =>
    `${numberText(sum)}${cells[0].x.index.length < 2 ? "" : ` (map ${channel})`}`);
  if (rest || walk.others.count) texts.push(`${numberText(others)} (${rest ? `${rest} other maps` : `${walk.others.count} other terms`})`);
  if (bias) texts.push(`${numberText(bias)} (bias)`);
  box.append(make("p", { textContent: `${texts.join(" + ")} = ${numberText(walk.exact ?? NaN)}` }));
}

function showWalk(walk) {
  if (isBackwards()) return;
  const box = make("div", { className: "grids" });
  if (walk.formula === "sum" && walk.terms.some((term) => term.factors.length > 1)) {
    showProducts(walk, box);
  } else if (walk.window.length) {
    const winner = walk.terms[0]?.factors[0];
    box.append(windowTable("What it looks at", walk.window.slice(0, MOST_CELLS).map(({ index, value }) => ({
      place: index, value, isPadding: value === null,
      isWinner: walk.formula === "taken" && String(winner?.index) === String(index),
    })), largest(walk.window, ({ value }) => value)),
    ...(walk.formula !== "taken" ? formulaOf(walk) :
      [lineOf("The one with the frame is the largest, or the first of these, and is passed on.")]));
  }
  byId("walk-answer").replaceChildren(
    make("p", {}, make("strong", { textContent: `${walk.name}[${walk.index.join(", ")}] = ${told(walk.exact)}` })), box,
    measuresOf(walk, walk.device));
  reachWide();
  walking = walk;
  layerFollower.follow(latest);
}

/** Let what is wider than its place be scrolled by the keyboard too. */
function reachWide() {
  for (const figure of document.querySelectorAll("#walk-answer figure")) {
    if (figure.scrollWidth > figure.clientWidth) figure.tabIndex = 0;
  }
}

const lineOf = (textContent) => make("p", { className: "formula-text", textContent });

/** A formula by its names and by its numbers. */
const formulaOf = ({ names, numbers }) => [lineOf(names), lineOf(`By the numbers: ${numbers}.`)];

const told = (value) => (value === null ? "none" : value === 0 ? "0" : value.toPrecision(9));

/** How far a number is off, as a list. */
function measuresOf(found, device) {
  const short = (value) => (value === null ? "none" : value === 0 ? "0" : value.toExponential(2));
  return make("dl", {}, ...[
    ["exactly, to float64", told(found.exact)],
    ["in float32 by the reference", told(found.computed)],
    [`on ${device}`, told(found.on_device)],
    ["rounding error", short(found.error)],
    ["proved bound of it", short(found.bound)],
  ].flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
}
