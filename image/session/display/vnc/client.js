// The sandbox's remote display: noVNC over the whole window, which connects again
// by itself when the connection drops.
import RFB from "./core/rfb.js";

const screen = document.getElementById("screen");
const state = document.getElementById("state");
const address = new URL("ws", location.href);
address.protocol = address.protocol.replace("http", "ws");

// Seconds to wait before each further attempt; the last one stays.
const waits = [0.5, 1, 2, 4, 8];
let attempts = 0;
let rfb;

// What it is doing can be read by the eye, a screen reader, and tests.
function say(name, words) {
  document.body.dataset.state = name;
  state.textContent = words;
}

function connect() {
  say("connecting", attempts === 0 ? "Connecting…" : "The connection dropped. Connecting again…");
  rfb = new RFB(screen, address.href, { shared: true });
  rfb.scaleViewport = true;
  rfb.background = "#000";
  rfb.addEventListener("connect", () => {
    attempts = 0;
    say("connected", "");
    rfb.focus();
  });
  rfb.addEventListener("disconnect", () => {
    const wait = waits[Math.min(attempts++, waits.length - 1)];
    say("disconnected", "The connection dropped. Connecting again…");
    setTimeout(connect, wait * 1000);
  });
}

// noVNC takes the keyboard on a click into the picture; the page as a whole does.
for (const event of ["load", "focus", "pointerdown"]) {
  addEventListener(event, () => rfb?.focus());
}
connect();
