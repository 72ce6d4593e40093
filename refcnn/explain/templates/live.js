"use strict";
// Asks the server for the operation with what is chosen, and hands what it recorded to the player. It computes nothing.
(() => {
  const of = (id) => document.getElementById(id);
  const form = of("choices"), player = document.querySelector(".player");
  const address = `../api/explain/${form.dataset.operation}?page=${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const PAUSE = 350;
  let asked = 0, timer = null, shown = {};

  function chosen() {
    const found = { shapes: {}, values: {}, arguments: {}, seed: of("seed").value };
    for (const field of form.querySelectorAll("[data-of]"))
      found[field.dataset.of][field.name] = field.type === "checkbox" ? field.checked : field.value;
    return found;
  }

  function refuse(text) {
    of("error").textContent = text;
    // What is played then is not what is chosen.
    player.classList.toggle("is-old", Boolean(text));
    of("before").hidden = !text;
  }

  function draw(curve) {
    const svg = document.querySelector("svg.curve");
    const made = (name, attributes, text = "") => {
      const one = document.createElementNS(svg.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
      one.textContent = text;
      return one;
    };
    svg.replaceChildren(
      ...curve.axes.map(([x1, y1, x2, y2]) => made("line", { x1, y1, x2, y2 })),
      made("path", { d: curve.y }), made("path", { d: curve.slope, class: "slope" }),
      ...curve.marks.map(([x, y, text]) => made("text", { x, y }, text)));
    svg.setAttribute("aria-label", curve.text);
  }

  function tell(operation) {
    const { call, inputs, onnx, runs } = operation.cases[0];
    shown = inputs;
    const results = runs[0].arrays.filter((array) => array.role === "result");
    of("call").textContent = call;
    of("sizes").textContent = `gives ${results.map((array) => `${array.name} of ${array.inner.join("×") || "one number"}`).join(", ")}`;
    if (operation.cases[0].curve) draw(operation.cases[0].curve);
    const nodes = document.querySelector(".onnx");
    nodes.textContent = onnx.join("\n");
    nodes.hidden = !onnx.length;
    nodes.nextElementSibling.hidden = Boolean(onnx.length);
  }

  async function ask() {
    clearTimeout(timer);
    const number = ++asked;
    form.setAttribute("aria-busy", "true");
    let answer, content;
    try {
      answer = await fetch(address, { method: "POST", body: JSON.stringify(chosen()) });
      content = await answer.json();
    } catch {
      content = { error: "The server does not answer: does 'refcnn serve' still run?" };
    }
    if (number !== asked || content.superseded) return;
    form.setAttribute("aria-busy", "false");
    refuse(content.error || "");
    if (content.error) return;
    player.dispatchEvent(new CustomEvent("operation", { detail: content.operations[0] }));
    tell(content.operations[0]);
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  of("fill").addEventListener("click", () => {
    for (const field of form.querySelectorAll("textarea")) field.value = (shown[field.name] || []).join(", ").replaceAll("∞", "inf");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  // The fields have their first values after this event alone.
  form.addEventListener("reset", () => setTimeout(ask));
  tell(JSON.parse(of("data").textContent).operations[0]);
})();
