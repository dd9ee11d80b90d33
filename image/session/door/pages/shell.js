// The page stays open for the whole session: it shows the progress of the start, takes
// a signed-in player to the game, and shows when and why the session ends.
"use strict";

const byId = (id) => document.getElementById(id);
const signedIn = document.body.dataset.signedIn === "true";

let over = !byId("ended").hidden; // for good: no more polling
let misses = 0;                   // polls in a row without an answer
let frame = null;                 // the display's client
let since = 0;                    // its last connection, or its start; ms
let met = false;                  // it was connected once
let entering = false;

const patience = { start: 30000, again: 10000 }; // until a picture counts as lost, ms

function show(what) {
  byId("page").hidden = what === "play";
  byId("play").hidden = what !== "play";
  byId("waiting").hidden = what !== "waiting";
  byId("ended").hidden = what !== "ended";
}

function say(id, text) { // an unchanged text is not read out again
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function showEnd(title, text, hint) {
  say("ended-title", title);
  say("ended-text", text);
  say("ended-hint", hint);
  if (!byId("ended").hidden) return;
  show("ended");
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  byId("ended-title").focus();
}

function showProgress(state) {
  say("now", state.now);
  for (const step of state.steps) {
    const line = byId("steps").querySelector(`[data-step="${step.name}"]`);
    if (line.dataset.stage === step.stage) continue;
    line.dataset.stage = step.stage;
    line.querySelector(".stage").textContent = { done: ", done", now: ", under way", next: "" }[step.stage];
  }
  byId("bar").value = state.steps.filter((step) => step.stage === "done").length;
  if (byId("native")) byId("native").hidden = !state.ready;
}

function showWarning(warning) {
  byId("warning").hidden = !warning;
  say("warning-words", warning ? warning.words : "");
  const left = warning ? warning.seconds : 0;
  say("warning-left", left ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left` : "");
}

async function enter() {
  if (entering || over) return;
  entering = true;
  try {
    const answer = await fetch("/enter", { method: "POST", cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (answer.ok) put((await answer.json()).entry);
  } catch { /* the next answer of /state tries again */ }
  entering = false;
}

// put shows the client in a new frame: an address with only another fragment would not
// be loaded again.
function put(entry) {
  const next = document.createElement("iframe");
  next.title = "The game";
  next.allow = "autoplay; clipboard-read; clipboard-write; fullscreen; gamepad; keyboard-map; screen-wake-lock";
  next.addEventListener("load", () => { if (frame === next) next.focus(); });
  next.src = entry;
  byId("frame").replaceChildren(next);
  frame = next;
  since = Date.now();
  met = false;
  byId("lost").hidden = true;
  byId("menu").open = false;
  show("play");
}

function leave() {
  frame = null;
  byId("frame").replaceChildren();
}

// watch detects whether the player's own picture is lost.
function watch(state, wasGone) {
  if (state.connected) {
    met = true;
    since = Date.now();
    byId("lost").hidden = true;
  } else if (wasGone) {
    enter(); // the network was down, and is back
  } else if (Date.now() - since > (met ? patience.again : patience.start)) {
    byId("lost").hidden = false;
  }
}

function follow(state) {
  const wasGone = misses >= 3;
  misses = 0;
  if (state.ended) {
    over = true;
    leave();
    showEnd(state.ended.title, state.ended.text, "You can close this window.");
    return;
  }
  // With a new network address, the picture's own connection may go on.
  const movedAway = Boolean(frame && state.moved && !wasGone);
  if (state.signedIn !== signedIn && !movedAway) { // changed in another tab, or before the game
    location.reload();
    over = true;
    return;
  }
  byId("moved-here").hidden = !movedAway;
  if (movedAway) {
    byId("lost").hidden = true;
    return;
  }
  if (wasGone) show(frame ? "play" : "waiting");
  showProgress(state);
  showWarning(state.warning);
  if (frame) watch(state, wasGone);
  else if (signedIn && state.ready) enter();
}

async function ask() {
  try {
    const answer = await fetch("/state", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    follow(await answer.json());
  } catch {
    if (++misses >= 3) {
      showEnd("The session can’t be reached", "It is over, or your connection is interrupted.", "This page goes on trying by itself.");
    }
  }
  if (!over) setTimeout(ask, frame ? 2000 : 1000);
}

// The page itself goes to full screen, not the client's frame: warnings stay visible.
async function toggleFull() {
  byId("menu").open = false;
  if (document.fullscreenElement) {
    await document.exitFullscreen();
  } else {
    await document.documentElement.requestFullscreen({ navigationUI: "hide" });
    await navigator.keyboard?.lock?.(); // Esc goes to the game; held, it leaves
  }
  if (frame) frame.focus();
}

byId("full").addEventListener("click", () => toggleFull().catch(() => {}));
byId("again").addEventListener("click", enter);
byId("lost-again").addEventListener("click", enter);
byId("moved-again").addEventListener("click", () => location.reload());
byId("full").hidden = !document.fullscreenEnabled;
document.addEventListener("fullscreenchange", () => say("full", document.fullscreenElement ? "Leave full screen" : "Full screen"));
byId("mouse-here").textContent = byId("mouse").textContent;

if (!over) ask();
