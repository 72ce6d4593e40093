"use strict";
// The same file on several executors beside each other, when that is asked for.

function executorRow(one) {
  const verdict = !one.is_usable ? ["plain", "not judged"] : one.parts ? ["bad", "parts"] : ["good", "within"];
  const row = make("tr", {}, make("th", { scope: "row", textContent: one.name }), ...[
    one.seconds === null ? "" : `${numberText(1000 * one.seconds)} ms`,
    one.class ?? "",
    one.difference === null ? "" : numberText(one.difference),
    one.node,
    one.ratio === null ? "" : `${numberText(100 * one.ratio)} %`,
  ].map((text) => make("td", { className: "whole", textContent: text })));
  row.append(make("td", {}, make("span", { className: `verdict ${verdict[0]}`, textContent: verdict[1] }),
    make("small", { textContent: one.is_usable ? one.parts : "" })));
  return row;
}

async function showExecutors(found, image) {
  const rows = found.executors;
  byId("executor-rows").replaceChildren(...rows.map(executorRow));
  byId("executors-box").hidden = false;
  if (model.onnxruntime_web) {
    byId("compare-text").textContent = "Comparing in this page…";
    const own = await computedInPage(image);
    byId("executor-rows").append(executorRow(own));
    rows.push(own);
  }
  const told = rows.filter((one) => one.parts).map((one) => (
    one.is_usable ? `${one.name} parts first at ${one.node}.` : `${one.name} was not judged: ${one.parts}`));
  byId("compare-text").textContent = told.length ? told.join(" ") : "No operator is outside of its bound.";
}

const executorFollower = new Follower("api/executors", showExecutors, undefined,
  () => { byId("compare-text").textContent = ""; });
byId("compare").addEventListener("click", () => {
  if (!latest) takeSheet();
  byId("compare-text").textContent = "Comparing…";
  sheet.toBlob((image) => executorFollower.follow(latest ?? image), "image/png");
});
