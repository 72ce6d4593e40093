"use strict";
// The kernels over the epochs: of the one that the slider is at, and played one after the other.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { epochs } = data.kernel_epochs;
  const [film, button, slider, told] = ["film", "film-play", "film-epoch", "film-told"].map((id) => document.getElementById(id));
  const last = epochs.length - 1;
  // Milliseconds for a picture; those who want less motion get pictures one by one.
  const pause = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 1200 : 150);
  let timer = null;

  function show(place) {
    const epoch = epochs[place];
    const text = epoch === 0 ? "before the first" : `${epoch} of ${data.run.epochs}${epoch === data.best.epoch ? ", the best" : ""}`;
    slider.value = place;
    slider.setAttribute("aria-valuetext", text);
    told.textContent = text;
    film.style.setProperty("--epoch", place);
  }

  function stop() {
    clearTimeout(timer);
    timer = null;
    button.textContent = "Play";
  }

  function next() {
    show(Number(slider.value) + 1);
    if (Number(slider.value) < last) timer = setTimeout(next, pause());
    else stop();
  }

  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) === last) show(0);
    button.textContent = "Pause";
    timer = setTimeout(next, pause());
  });
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });

  show(last);
  document.getElementById("film-controls").hidden = false;
  film.classList.add("live");
})();
