"use strict";
// The camera's pictures on the sheet, each as soon as the one before was computed. None leaves but to this page's server.

let stream = null;

/** The largest middle of a picture in the sheet's proportion. */
function drawMiddle(video) {
  const scale = Math.max(sheet.width / video.videoWidth, sheet.height / video.videoHeight);
  const [width, height] = [sheet.width / scale, sheet.height / scale];
  isDrawing = false;
  context.filter = byId("is-negative").checked ? "invert(1)" : "none";
  context.drawImage(video, (video.videoWidth - width) / 2, (video.videoHeight - height) / 2, width, height,
    0, 0, sheet.width, sheet.height);
  context.filter = "none";
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("camera").setAttribute("aria-pressed", "false");
  byId("camera").textContent = "Camera";
  byId("negative").hidden = true;
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    showError("Browsers give the camera to pages of this machine alone: open this one as http://127.0.0.1 or localhost.");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    showError(`There is no camera to be had: ${error.message}.`);
    return;
  }
  byId("camera").setAttribute("aria-pressed", "true");
  byId("camera").textContent = "Stop the camera";
  byId("negative").hidden = false;
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  const mine = stream;
  while (stream === mine) {
    if (!followers[0].isBusy && video.videoWidth) {
      drawMiddle(video);
      takeSheet();
    }
    await new Promise((go) => { setTimeout(go, 60); });
  }
}

// A pen on dark paper is what few have before the camera.
byId("is-negative").checked = isDarkUsual;
byId("camera").addEventListener("click", () => (stream === null ? startCamera() : stopCamera()));
for (const [element, event] of [[sheet, "pointerdown"], [byId("clear"), "click"], [byId("file"), "change"]]) {
  element.addEventListener(event, stopCamera, { capture: true });
}
