"use strict";
// What is drawn, dropped, pasted or chosen is posted to the server that gave this page, and its answers are shown.

const model = JSON.parse(document.getElementById("data").textContent);
const byId = (name) => document.getElementById(name);
// By which the server knows which of the images that wait are of one page: the newest alone is computed.
const pageName = Math.random().toString(36).slice(2);

/** The number with so many digits as matter. */
function numberText(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

// What is wrong now, by whom it concerns: what goes well elsewhere takes nothing of it back.
const errors = new Map();

/** Say what is wrong with an image, or with one's question about it; an empty text takes back what was said of that. */
function showError(text, source = null) {
  if (text) errors.set(source, text);
  else errors.delete(source);
  const said = [...new Set(errors.values())].join(" ");
  // What is set is read out, also where it says what it said before.
  if (byId("error").textContent !== said) byId("error").textContent = said;
}

/** Posts images to one address, one at a time, and after each the newest that came meanwhile. */
class Follower {
  /**
   * show(answer, image) is waited for; query() gives what is asked beside the image, or null while nothing is wanted;
   * failed() is called where there is no answer to be shown.
   */
  constructor(path, show, query = () => "", failed = () => {}) {
    Object.assign(this, { path, show, query, failed, isBusy: false, next: null });
  }

  follow(image) {
    this.next = image;
    if (this.query() === null) showError("", this);
    if (!this.isBusy) this.#run();
  }

  async #run() {
    this.isBusy = true;
    while (this.next !== null && this.query() !== null) {
      const image = this.next;
      this.next = null;
      await this.#ask(image);
    }
    this.isBusy = false;
  }

  async #ask(image) {
    try {
      const asked = `page=${pageName}&form=${wantedForm() ?? ""}${this.query()}`;
      const answer = await fetch(`${this.path}?${asked}`, { method: "POST", body: image });
      const found = await answer.json();
      if (!found.superseded) showError(found.error ?? "", this);
      if (answer.ok && !found.superseded) await this.show(found, image);
      else if (!answer.ok) this.failed();
    } catch (error) {
      showError(`The server does not answer: is 'refcnn serve' still running? (${error.message})`, this);
      this.failed();
    }
  }
}

/** The bytes of what the server sends as whole numbers from 0 to 255. */
const bytesOf = (quantised) => Uint8Array.from(atob(quantised.values), (letter) => letter.charCodeAt(0));

// ---- What the network was given, and what it says

/** Paint pixels (channels, height, width) on a canvas of as many pixels. */
function paintImage(canvas, quantised) {
  const [channels, height, width] = quantised.shape;
  const values = bytesOf(quantised);
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      image.data[4 * pixel + colour] = values[(channels === 1 ? 0 : colour) * height * width + pixel];
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

let lastGiven = null;

function showGiven(given) {
  lastGiven = given;
  paintImage(byId("given"), given);
  const [, height, width] = given.shape;
  byId("given-text").textContent =
    `${height}×${width} pixels; its numbers go from ${numberText(given.lowest)} to ${numberText(given.highest)}.`;
}

function showPrediction(found) {
  const [first] = found.classes;
  const percent = (part) => `${(100 * part).toFixed(1)} %`;
  byId("answer").className = "answer";
  byId("answer").textContent = first.name;
  byId("classes").hidden = false;
  byId("classes").tBodies[0].replaceChildren(...found.classes.map(({ name, probability }) => {
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name, title: name });
    const level = Object.assign(document.createElement("div"), { className: "level" });
    level.append(document.createElement("div"));
    level.firstChild.style.width = `${100 * Math.min(1, Math.max(0, probability))}%`;
    row.append(head, document.createElement("td"), document.createElement("td"));
    row.children[1].append(level);
    row.children[2].textContent = percent(probability);
    return row;
  }));
  byId("remarks").replaceChildren(
    ...found.remarks.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  byId("time").textContent = `Computed in ${numberText(1000 * found.seconds)} ms.`;
  showGiven(found.given);
}

const followers = [new Follower("api/prediction", showPrediction)];

/** Have all that follows the image follow a new one, a Blob. */
function take(image) {
  latest = image;
  for (const source of errors.keys()) {
    if (!followers.includes(source)) showError("", source);
  }
  for (const follower of followers) follower.follow(image);
}
let latest = null;

// ---- The sheet

const sheet = byId("sheet-canvas");
const pen = { isDown: false, x: 0, y: 0, isDark: false };
// Whether there is nothing on the sheet but what was drawn: other images are taken as they are.
let isDrawing = true;
/** As which data set's digits the image is to be; undefined for as it is. */
const wantedForm = () => (isDrawing && byId("is-formed").checked ? model.form : undefined);
const longest = Math.max(model.width, model.height);
sheet.width = Math.round((336 * model.width) / longest);
sheet.height = Math.round((336 * model.height) / longest);
const context = sheet.getContext("2d");
const isDarkUsual = model.background === "black";
byId("inverted-text").textContent = isDarkUsual ? "black on white" : "white on black";

const background = () => (byId("inverted").checked === isDarkUsual ? "#fff" : "#000");
const ink = () => (background() === "#000" ? "#fff" : "#000");

function wipe() {
  isDrawing = true;
  context.fillStyle = background();
  context.fillRect(0, 0, sheet.width, sheet.height);
}

/** Post what is on the sheet, unless the one before is still being made into a file: then once that is done. */
let isDue = false, isMaking = false;
function takeSheet() {
  isDue = true;
  if (isMaking) return;
  isMaking = true;
  isDue = false;
  sheet.toBlob((image) => {
    isMaking = false;
    take(image);
    if (isDue) takeSheet();
  }, "image/png");
}

function line(x, y) {
  context.strokeStyle = ink();
  context.lineWidth = (byId("pen").value / 100) * Math.max(sheet.width, sheet.height);
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(pen.x, pen.y);
  context.lineTo(x, y);
  context.stroke();
  Object.assign(pen, { x, y });
}

/** Where on the sheet a pointer is. */
function place(event) {
  const box = sheet.getBoundingClientRect();
  return [((event.clientX - box.left) * sheet.width) / box.width, ((event.clientY - box.top) * sheet.height) / box.height];
}

sheet.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  sheet.setPointerCapture(event.pointerId);
  pen.isDown = true;
  [pen.x, pen.y] = place(event);
  line(pen.x, pen.y);
  takeSheet();
});
sheet.addEventListener("pointermove", (event) => {
  if (!pen.isDown || !event.buttons) return;
  for (const part of event.getCoalescedEvents?.() ?? [event]) line(...place(part));
  takeSheet();
});
for (const name of ["pointerup", "pointercancel"]) {
  sheet.addEventListener(name, () => { pen.isDown = false; });
}

const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
sheet.addEventListener("keydown", (event) => {
  const move = moves[event.key];
  if (event.key === " ") {
    pen.isDown = !pen.isDown;
    if (pen.isDown) line(pen.x, pen.y);
  } else if (move !== undefined) {
    const step = Math.max(sheet.width, sheet.height) / 28;
    const x = Math.min(sheet.width, Math.max(0, pen.x + step * move[0]));
    const y = Math.min(sheet.height, Math.max(0, pen.y + step * move[1]));
    if (pen.isDown) line(x, y);
    else Object.assign(pen, { x, y });
  } else {
    return;
  }
  event.preventDefault();
  byId("sheet-help").textContent = `The pen is ${pen.isDown ? "down" : "up"}, ` +
    `${Math.round((100 * pen.x) / sheet.width)} % from the left and ${Math.round((100 * pen.y) / sheet.height)} % from the top.`;
  if (pen.isDown) takeSheet();
});
sheet.addEventListener("blur", () => { pen.isDown = false; });

function clear() {
  wipe();
  pen.isDown = false;
  Object.assign(pen, { x: sheet.width / 2, y: sheet.height / 4 });
  takeSheet();
}
byId("clear").addEventListener("click", clear);
byId("inverted").addEventListener("change", clear);
byId("is-formed").addEventListener("change", () => { if (latest) take(latest); });

// ---- Files

/** Take a file, and show it on the sheet where the browser knows its format. */
async function takeFile(file) {
  if (file.size > model.most_bytes) {
    showError(`The file has ${file.size.toLocaleString("en")} bytes, of which no more than ` +
      `${model.most_bytes.toLocaleString("en")} are taken. Make the image smaller.`);
    return;
  }
  wipe();
  isDrawing = false;
  take(file);
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(sheet.width / picture.width, sheet.height / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    context.drawImage(picture, (sheet.width - width) / 2, (sheet.height - height) / 2, width, height);
  } catch {
    // The server knows more formats, and says what is wrong with those that it cannot read.
  }
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) takeFile(event.target.files[0]);
  event.target.value = "";
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files][0];
  if (file) takeFile(file);
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("sheet").classList.add("dropping");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) byId("sheet").classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("sheet").classList.remove("dropping");
  const file = event.dataTransfer.files[0];
  if (file) takeFile(file);
});

byId("answer").classList.add("waiting");
wipe();
Object.assign(pen, { x: sheet.width / 2, y: sheet.height / 4 });
