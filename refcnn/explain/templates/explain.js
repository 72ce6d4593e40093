"use strict";
// Plays what refcnn recorded: it shows numbers, and computes none.
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const CELL = 36, HEIGHT = 26, SVG = "http://www.w3.org/2000/svg";
  const PLANES = 12;
  const SPEEDS = [["slow", 1400], ["normal", 600], ["fast", 150]];

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function drawn(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const product = (sizes) => sizes.reduce((all, one) => all * one, 1);

  function short(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "string") return value.replace("-", "−");
    const text = Number.isInteger(value) && Math.abs(value) < 1e5 ? String(value)
      : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
    return text.replaceAll("-", "−");
  }

  const long = (value) => {
    const isSmall = typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3;
    return (isSmall ? value.toExponential() : String(value)).replaceAll("-", "−");
  };

  // Places of a frame, counted row by row: of [[first, step, count], ...] for each axis, or a list as it is.
  function places(region, shape) {
    if (!region.length) return shape.length ? [] : [0];
    if (typeof region[0] === "number") return region;
    let found = [0];
    region.forEach(([first, step, count], axis) => {
      const next = [];
      for (const place of found)
        for (let k = 0; k < count; k++) next.push(place * shape[axis] + first + k * step);
      found = next;
    });
    return found;
  }

  function indexOf(place, array) {
    const index = [];
    for (let axis = array.shape.length - 1; axis >= 0; axis--) {
      index.unshift(place % array.shape[axis] - array.origin[axis]);
      place = Math.floor(place / array.shape[axis]);
    }
    return index;
  }

  const named = (array, place) =>
    array.shape.length ? `${array.name}[${indexOf(place, array).join(", ")}]`.replaceAll("-", "−") : array.name;

  function regionText(array, region) {
    if (!array.shape.length) return array.name;
    const axis = ([first, step, count], number) => {
      const start = first - array.origin[number];
      if (count === 1) return String(start);
      const end = start + step * (count - 1);
      return `${start} to ${end}${step > 1 ? ` by ${step}` : ""}`;
    };
    const all = places(region, array.shape);
    if (all.length === product(array.shape)) return `all of ${array.name}`;
    if (typeof region[0] === "number") return `${all.length} numbers of ${array.name}`;
    return `${array.name}[${region.map(axis).join(", ")}]`.replaceAll("-", "−");
  }

  // How wide cells must be for the longest of some texts.
  const wide = (texts) => Math.max(CELL, 8 + 6.6 * Math.max(0, ...texts.map((text) => text.length)));

  // A grid of cells: rows of {text, value, classes, title, pick}.
  function grid(rows, label) {
    const columns = Math.max(...rows.map((row) => row.length));
    const side = wide(rows.flat().map((cell) => short(cell.value)));
    const [width, height] = [columns * side + 4, rows.length * HEIGHT + 4];
    const svg = drawn("svg", { class: "grid", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": label });
    const marks = [];
    rows.forEach((row, r) => row.forEach((cell, c) => {
      const box = { x: c * side + 2, y: r * HEIGHT + 2, width: side, height: HEIGHT };
      const back = drawn("rect", { ...box, class: [cell.around ? "around" : "", cell.pick ? "pick" : ""].join(" ").trim() });
      if (cell.pick) back.addEventListener("click", cell.pick);
      svg.append(back);
      if (typeof cell.value === "number" && cell.scale > 0 && cell.value !== 0)
        svg.append(drawn("rect", { ...box, class: `tint ${cell.value < 0 ? "negative" : "positive"}`,
          opacity: (0.06 + 0.3 * Math.min(1, Math.abs(cell.value) / cell.scale)).toFixed(2), "pointer-events": "none" }));
      svg.append(drawn("text", { x: box.x + side / 2, y: box.y + HEIGHT / 2 + 4 }, short(cell.value)));
      for (const mark of cell.marks || [])
        marks.push(drawn("rect", { x: box.x + 1.5, y: box.y + 1.5, width: side - 3, height: HEIGHT - 3, class: mark,
          "pointer-events": "none" }));
    }));
    svg.append(...marks);
    return svg;
  }

  class Player {
    constructor(section, number) {
      this.section = section;
      this.operation = DATA.operations[Number(section.dataset.operation)];
      this.only = JSON.parse(section.dataset.only);
      this.cases = this.operation.cases.filter((one) =>
        Object.entries(this.only).every(([name, value]) => one.choices[name] === value));
      this.id = `player-${number}`;
      this.case = this.cases[0];
      this.direction = 0;
      this.step = 0;
      this.chosen = null;
      this.timer = null;
      this.opened = new Set();
      this.build();
      this.choose();
      // Where a server computes, others are played in the place of what the page began with.
      section.addEventListener("operation", (event) => this.take(event.detail));
    }

    take(operation) {
      const isAtEnd = this.step === this.run.steps.length - 1;
      this.operation = { ...this.operation, ...operation };
      this.cases = this.operation.cases;
      this.case = this.cases[0];
      this.choose();
      // Who looks at the whole result goes on to do so.
      if (isAtEnd) this.go(this.run.steps.length - 1);
    }

    get run() { return this.case.runs[this.direction]; }

    build() {
      this.choices = element("fieldset", {}, element("legend", {}, `${this.operation.name}: choose`));
      this.selects = {};
      for (const [name, values] of Object.entries(this.operation.choices)) {
        const there = values.filter((value) => this.cases.some((one) => one.choices[name] === value));
        if (there.length < 2) continue;
        const select = element("select", { "data-choice": name },
          ...there.map((value) => element("option", { value: JSON.stringify(value) }, String(value))));
        select.addEventListener("change", () => this.changed(name));
        this.selects[name] = select;
        this.choices.append(element("label", {}, name, select));
      }
      this.directions = element("select", { "data-choice": "direction" },
        element("option", { value: 0 }, "the result"), element("option", { value: 1 }, "the gradients"));
      this.directions.addEventListener("change", () => {
        this.direction = Number(this.directions.value);
        this.choose();
      });
      this.choices.append(element("label", {}, "what is computed", this.directions));
      const button = (name, text, act) => {
        const made = element("button", { type: "button", title: name }, text);
        made.addEventListener("click", act);
        return made;
      };
      this.playing = button("Play or pause", "play", () => this.toggle());
      this.slider = element("input", { type: "range", min: 0, value: 0, "aria-label": "Step" });
      this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
      this.speed = element("select", {}, ...SPEEDS.map(([name, time]) => element("option", { value: time }, name)));
      this.speed.value = SPEEDS[matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 1][1];
      const controls = element("div", { class: "controls" },
        button("To the first step", "start", () => this.go(0)),
        button("One step back (arrow to the left)", "back", () => this.go(this.step - 1)),
        button("One step on (arrow to the right)", "step", () => this.go(this.step + 1)),
        button("To the next step that writes a number of the result", "next number", () => this.nextWrite()),
        this.playing, this.slider, element("label", {}, "speed", this.speed));
      this.said = element("p", { class: "said", "aria-live": "polite" });
      this.arrays = element("div", { class: "arrays" });
      this.lines = element("pre", { class: "lines", tabindex: 0, "aria-label": "The reference's lines" });
      this.path = element("p", { class: "path" });
      this.pick = element("select", {});
      this.pick.addEventListener("change", () => this.pickPlace(...JSON.parse(this.pick.value)));
      this.walk = element("div", { class: "walk" });
      const key = element("p", { class: "key" }, "In this step:");
      for (const [mark, text] of [["read", "read"], ["written", "written"], ["seen", "what the number below comes from"],
        ["around", "padding"]]) key.append(element("i", { class: mark }), text);
      this.section.replaceChildren(this.choices, controls, this.said,
        element("div", { class: "stage" }, element("div", { class: "pictures" }, this.arrays, key),
          element("div", { class: "code" }, this.path, this.lines, ...this.kernel()), this.walk));
      this.section.addEventListener("keydown", (event) => this.key(event));
    }

    kernel() {
      if (!this.operation.kernel) return [];
      const { path, text } = this.operation.kernel;
      const code = element("pre", { class: "lines", tabindex: 0, "aria-label": "The kernel's code" },
        ...text.replace(/\n$/, "").split("\n").map((line, k) => element("code", { "data-number": k + 1 }, line || " ")));
      const folded = element("details", { class: "kernel" }, element("summary", {}, `On a device: ${path}`), code);
      folded.open = DATA.operations.length <= 2;
      return [folded];
    }

    key(event) {
      // Elsewhere arrows have a meaning of their own: they choose, or scroll.
      if (event.target.tagName !== "BUTTON" || event.ctrlKey || event.altKey || event.metaKey) return;
      const steps = { ArrowRight: this.step + 1, ArrowLeft: this.step - 1, Home: 0, End: this.run.steps.length - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.go(steps[event.key]);
    }

    changed(name) {
      const wanted = {};
      for (const [one, select] of Object.entries(this.selects)) wanted[one] = JSON.parse(select.value);
      const shared = (one) => Object.keys(wanted).filter((key) => one.choices[key] === wanted[key]).length;
      const fitting = this.cases.filter((one) => one.choices[name] === wanted[name]);
      this.case = fitting.reduce((best, one) => shared(one) > shared(best) ? one : best, fitting[0]);
      this.choose();
    }

    choose() {
      this.stop();
      for (const [name, select] of Object.entries(this.selects)) select.value = JSON.stringify(this.case.choices[name]);
      this.direction = Math.min(this.direction, this.case.runs.length - 1);
      this.directions.value = this.direction;
      this.directions.parentElement.hidden = this.case.runs.length === 1;
      this.choices.hidden = this.case.runs.length === 1 && !Object.keys(this.selects).length;
      this.slider.max = this.run.steps.length - 1;
      this.chosen = null;
      this.source = null;
      this.byPlace = {};
      for (const [array, walks] of Object.entries(this.run.walks))
        this.byPlace[array] = new Map(walks.map((walk) => [walk.place, walk]));
      this.pick.replaceChildren(...Object.entries(this.run.walks).flatMap(([array, walks]) => walks.map((walk) =>
        element("option", { value: JSON.stringify([Number(array), walk.place]) },
          named(this.run.arrays[array], walk.place)))));
      this.go(0);
    }

    toggle() {
      if (this.timer !== null) return this.stop();
      if (this.step === this.run.steps.length - 1) this.go(0);
      this.playing.textContent = "pause";
      const next = () => {
        this.go(this.step + 1, true);
        if (this.step < this.run.steps.length - 1) this.timer = setTimeout(next, Number(this.speed.value));
        else this.stop();
      };
      this.timer = setTimeout(next, Number(this.speed.value));
    }

    stop() {
      clearTimeout(this.timer);
      this.timer = null;
      this.playing.textContent = "play";
    }

    nextWrite() {
      const at = this.run.steps.findIndex((step, number) => number > this.step && this.resultsOf(step).length);
      if (at >= 0) this.go(at);
    }

    resultsOf(step) {
      return (step.writes || []).filter(([array]) => array in this.byPlace)
        .flatMap(([array, region]) => places(region, this.run.arrays[array].shape)
          .filter((place) => this.byPlace[array].has(place)).map((place) => [array, place]));
    }

    pickPlace(array, place) {
      const steps = this.run.steps;
      let at = steps.length - 1;
      while (at > 0 && !(steps[at].writes || []).some(([one, region]) =>
        one === array && places(region, this.run.arrays[one].shape).includes(place))) at--;
      this.stop();
      this.go(at, false, [array, place]);
    }

    go(step, isPlaying = false, chosen = null) {
      if (!isPlaying) this.stop();
      this.step = Math.max(0, Math.min(step, this.run.steps.length - 1));
      this.slider.value = this.step;
      this.slider.setAttribute("aria-valuetext", `step ${this.step + 1} of ${this.run.steps.length}`);
      const written = this.resultsOf(this.run.steps[this.step]);
      // A line that writes zeros everywhere, to begin with, is not where a number comes from.
      if (chosen !== null) this.chosen = chosen;
      else if (written.length) this.chosen = written[0];
      else if (this.step === 0) this.chosen = null;
      this.show();
    }

    show() {
      const step = this.run.steps[this.step];
      this.showLine(step);
      this.said.textContent = this.sentence(step);
      const seen = this.seen();
      const marks = this.run.arrays.map(() => new Map());
      const mark = (array, found, name) => {
        for (const place of found) marks[array].set(place, [...(marks[array].get(place) || []), name]);
      };
      for (const [array, found] of seen) mark(array, found, "seen");
      for (const [array, region] of step.reads || []) mark(array, places(region, this.run.arrays[array].shape), "read");
      for (const [array, region] of step.writes || []) mark(array, places(region, this.run.arrays[array].shape), "written");
      const values = this.values();
      this.arrays.replaceChildren(...this.run.arrays.map((array, number) => this.picture(number, values[number], marks[number])));
      this.showWalk(values);
      // What is wider than its place is scrolled by the keyboard too.
      for (const place of this.section.querySelectorAll(".array, .walk .planes"))
        if (place.scrollWidth > place.clientWidth) {
          place.tabIndex = 0;
          place.setAttribute("role", "group");
          place.setAttribute("aria-label", place.dataset.array || "products");
        }
    }

    values() {
      const values = this.run.arrays.map((array) => array.values.length ? [...array.values]
        : new Array(product(array.shape)).fill(null));
      for (const step of this.run.steps.slice(0, this.step + 1))
        for (const [array, region, numbers] of step.writes || [])
          places(region, this.run.arrays[array].shape).forEach((place, k) => {
            values[array][place] = numbers[numbers.length === 1 ? 0 : k];
          });
      return values;
    }

    picture(number, values, marks) {
      const array = this.run.arrays[number], shape = array.shape.length ? array.shape : [1];
      const columns = shape[shape.length - 1], rows = shape.length > 1 ? shape[shape.length - 2] : 1;
      const scale = Math.max(0, ...values.filter((value) => typeof value === "number").map(Math.abs));
      const planes = element("div", { class: "planes" });
      for (let first = 0; first < values.length; first += rows * columns) {
        const table = [];
        for (let r = 0; r < rows; r++) {
          table.push([]);
          for (let c = 0; c < columns; c++) {
            const place = first + r * columns + c, index = indexOf(place, array);
            const around = index.some((one, axis) => one < 0 || one >= array.inner[axis]);
            const pick = number in this.byPlace && this.byPlace[number].has(place)
              ? () => this.pickPlace(number, place) : null;
            table[r].push({ value: values[place], scale, around, pick, marks: marks.get(place) });
          }
        }
        const lead = indexOf(first, array).slice(0, -2).join(", ");
        const label = lead ? `${array.name}[${lead}]` : array.name;
        const plane = element("div", {}, grid(table, `${label}, ${rows} by ${columns} numbers`));
        if (lead && values.length > rows * columns) plane.prepend(element("small", {}, label));
        planes.append(plane);
      }
      const more = [...planes.children].slice(PLANES);
      if (more.length) {
        const name = `${this.direction} ${array.name}`;
        const rest = element("details", {}, element("summary", {}, `${more.length} more`),
          element("div", { class: "planes" }, ...more));
        rest.open = this.opened.has(name);
        rest.addEventListener("toggle", () => this.opened[rest.open ? "add" : "delete"](name));
        planes.append(rest);
      }
      const roles = { given: "given", result: "result", between: "in between" };
      return element("figure", { class: "array", "data-array": array.name },
        element("figcaption", {}, element("b", {}, array.name), ` ${array.inner.join("×") || "a number"}, ${roles[array.role]}`),
        planes);
    }

    showLine(step) {
      if (this.source !== step.source) {
        this.source = step.source;
        const source = this.operation.sources[step.source];
        this.path.textContent = source.path;
        this.lines.replaceChildren(...source.text.replace(/\n$/, "").split("\n").map((text, k) =>
          element("code", { "data-number": source.first + k }, text || " ")));
      }
      for (const line of this.lines.children) line.classList.toggle("lit", Number(line.dataset.number) === step.line);
      const lit = this.lines.querySelector(".lit");
      if (lit) {
        const [above, below] = [lit.offsetTop - 40, lit.offsetTop + lit.offsetHeight + 40 - this.lines.clientHeight];
        this.lines.scrollTop = Math.min(above, Math.max(below, this.lines.scrollTop));
      }
    }

    sentence(step) {
      const parts = [`Step ${this.step + 1} of ${this.run.steps.length}, line ${step.line}.`];
      const place = Object.entries(step.variables || {}).filter(([name]) => !(name in this.case.attributes) && name !== "needs");
      if (place.length) parts.push(place.map(([name, value]) =>
        `${name} = ${Array.isArray(value) ? `(${value.join(", ")})` : value}`).join(", ") + ".");
      if (step.reads) parts.push(`Reads ${step.reads.map(([array, region]) => regionText(this.run.arrays[array], region)).join(" and ")}.`);
      for (const [array, region, numbers] of step.writes || []) {
        const shown = numbers.length <= 4 ? ` = ${numbers.map(short).join(", ")}` : "";
        parts.push(`Writes ${regionText(this.run.arrays[array], region)}${shown}.`);
      }
      return parts.join(" ");
    }

    walkOf() { return this.chosen && this.byPlace[this.chosen[0]].get(this.chosen[1]); }

    seen() {
      const walk = this.walkOf(), found = new Map();
      if (!walk) return found;
      const add = (array, place) => {
        if (array >= 0) found.set(array, (found.get(array) || new Set()).add(place));
      };
      const inside = (part) => {
        if (typeof part[1] === "string") part[2].forEach(inside);
        else if (part.length === 3) add(part[1], part[2]);
      };
      for (const term of walk.terms || []) for (let k = 1; k < term.length; k += 2) add(term[k], term[k + 1]);
      if (walk.formula) inside(walk.formula);
      return found;
    }

    showWalk(values) {
      const walk = this.walkOf();
      if (!this.pick.options.length) return this.walk.replaceChildren();
      const label = element("label", {}, "where this number comes from", this.pick);
      if (!walk) {
        this.pick.value = "";
        return this.walk.replaceChildren(label);
      }
      const [array, place] = this.chosen, name = named(this.run.arrays[array], place);
      this.pick.value = JSON.stringify(this.chosen);
      const parts = [label, element("h3", {}, `Where ${name} comes from`)];
      if (walk.terms) parts.push(...this.terms(walk, values));
      else parts.push(element("ul", {}, this.tree(walk.formula)));
      const facts = element("dl");
      const rows = [["exact (float64)", long(walk.exact)], ["in float32", long(walk.computed)],
        ["rounding error", long(walk.error)], ["proved bound", walk.bound === null ? "none" : long(walk.bound)]];
      for (const [term, text] of rows) facts.append(element("dt", {}, term), element("dd", {}, text));
      this.walk.replaceChildren(...parts, facts);
    }

    terms(walk, values) {
      const pairs = walk.terms.filter((term) => term.length === 5), others = walk.terms.filter((term) => term.length !== 5);
      const text = (term) => {
        const factors = [];
        for (let k = 1; k < term.length; k += 2) factors.push(short(this.run.arrays[term[k]].values[term[k + 1]]));
        return factors.length ? factors.join(" × ") : short(term[0]);
      };
      const equation = element("p", { class: "equation" },
        `${walk.terms.slice(0, 60).map(text).join(" + ")}${walk.terms.length > 60 ? " + …" : ""} = ${long(walk.exact)}`);
      const shown = pairs.length > 1 && pairs.length <= 60 ? this.windows(pairs) : null;
      const some = walk.count ? `the first ${pairs.length} of ${walk.count} terms` : `${pairs.length} products`;
      const sum = element("p", { class: "faint" }, `${some}${others.length ? ` and ${others.map((term) =>
        term[1] >= 0 ? named(this.run.arrays[term[1]], term[2]) : short(term[0])).slice(0, 4).join(", ")}` : ""} are added:`);
      return [...(shown ? [shown] : []), ...(pairs.length ? [sum] : []), equation];
    }

    // The products of two arrays as they lie: window, kernel, products.
    windows(pairs) {
      const [a, b] = [this.run.arrays[pairs[0][1]], this.run.arrays[pairs[0][3]]];
      const groups = new Map();
      for (const term of pairs) {
        const index = indexOf(term[2], a), lead = index.slice(0, -2).join(", ");
        groups.set(lead, [...(groups.get(lead) || []), [index, term]]);
      }
      const shown = element("div", { class: "planes" });
      for (const [lead, terms] of groups) {
        const axis = (which) => [...new Set(terms.map(([index]) => index[index.length - which] ?? 0))].sort((p, q) => p - q);
        const [rows, columns] = [axis(2), axis(1)];
        const table = (value) => rows.map((r) => columns.map((c) => {
          const found = terms.find(([index]) => (index[index.length - 2] ?? 0) === r && index[index.length - 1] === c);
          return { value: found ? value(found[1]) : null, scale: 1 };
        }));
        const of = (array, k) => table((term) => array.values[term[k]]);
        const label = (array) => lead ? `${array.name}` : array.name;
        for (const [sign, cells, name] of [["", of(a, 2), `${label(a)}${lead ? `[${lead}]` : ""}`], ["×", of(b, 4), label(b)],
          ["=", table((term) => term[0]), "products"]]) {
          if (sign) shown.append(element("span", { class: "sign", "aria-hidden": "true" }, sign));
          shown.append(element("div", {}, element("small", {}, name), grid(cells, name)));
        }
      }
      return shown;
    }

    tree(part, depth = 0) {
      if (typeof part[1] !== "string") {
        const where = part.length === 3 && part[1] >= 0 ? `${named(this.run.arrays[part[1]], part[2])} = ` : "";
        return element("li", {}, `${where}${short(part[0])}`);
      }
      const names = { taken: "the first of these, chosen by the second",
        chosen: "the first of these, chosen by the second", divide: "quotient of", subtract: "difference of" };
      const head = `${short(part[0])}: ${names[part[1]] || `${part[1]} of`}`;
      const inner = element("ul", {}, ...part[2].slice(0, 40).map((one) => this.tree(one, depth + 1)));
      if (part[2].length > 40) inner.append(element("li", {}, `and ${part[2].length - 40} more`));
      return depth < 3 ? element("li", {}, head, inner)
        : element("li", {}, element("details", {}, element("summary", {}, head), inner));
    }
  }

  document.querySelectorAll(".player").forEach((section, number) => new Player(section, number));
})();
