// The page: pictures and regions on one side, questions and answers on the other.

import { Stage } from "./stage.js";
import * as talk from "./talk.js";
import { Turn } from "./turn.js";

const by = (id) => document.getElementById(id);
const HELP = {
  look: "",
  point: "Click; or press Tab until the picture is marked, move by the arrow keys (Shift: far, Alt: near), set by Enter.",
  box: "Drag; or by keys as for a point: Enter at two corners.",
  mask: "Draw around it; or by keys as for a point: Enter at each corner, twice at the last. Backspace takes one back.",
};
const state = { about: null, stages: [], regions: [], turns: [], shown: null, asking: null };

const say = (problem) => { by("problem").textContent = problem; };

async function trying(action) {
  say("");
  try { await action(); } catch (error) { if (error.name !== "AbortError") say(error.message); }
}

// Pictures

async function addFiles(files) {
  const refused = [];
  for (const file of files) {
    try {
      if (state.stages.length >= state.about.limits.images) {
        throw new Error(`a question has at most ${state.about.limits.images} pictures`);
      }
      const picture = await talk.upload(file, state.about.limits);
      setPictures([...state.stages.map((stage) => stage.picture), picture]);
    } catch (error) { refused.push(error.message); }
  }
  say(refused.join(" "));
}

// Other pictures are another conversation.
function setPictures(pictures) {
  state.asking?.abort();
  state.regions = state.regions.filter((region) => region.image < pictures.length);
  state.stages = pictures.map((picture, number) => new Stage(picture, number, {
    region: (region) => addRegion({ ...region, image: number }),
    look: (shape, point = null) => look(state.shown, shape, point),
    remove: () => {
      state.regions = state.regions.filter((region) => region.image !== number)
        .map((region) => ({ ...region, image: region.image - (region.image > number) }));
      setPictures(pictures.filter((_, other) => other !== number));
    },
  }));
  by("stage").replaceChildren(...state.stages.map((stage) => stage.element));
  if (!pictures.length) by("stage").append(empty);
  setTool();
  newConversation();
  showRegions();
}

function setTool() {
  const tool = document.querySelector("[name=tool]:checked").value;
  by("help").textContent = HELP[tool];
  for (const stage of state.stages) stage.setTool(tool);
}

// Regions by hand

function addRegion(region) {
  if (state.regions.length >= state.about.limits.regions) {
    return say(`a question has at most ${state.about.limits.regions} regions`);
  }
  const most = state.about.limits.points;
  const step = Math.ceil(region.points.length / most);
  state.regions.push({ ...region, points: region.points.filter((_, k) => k % step === 0) });
  showRegions();
}

function showRegions() {
  const numbered = state.regions.map((region, k) => [k + 1, region]);
  state.stages.forEach((stage, image) => stage.showRegions(numbered.filter(([, region]) => region.image === image)));
  by("regions").replaceChildren(...numbered.map(([number, region]) => {
    const item = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = `#${number} ${region.kind} ✕`;
    remove.setAttribute("aria-label", `remove region ${number}, a ${region.kind}`);
    remove.onclick = () => { state.regions.splice(number - 1, 1); showRegions(); };
    item.append(remove);
    return item;
  }));
}

// Questions and answers

function describeTask() {
  const task = state.about.tasks.find(({ name }) => name === by("task").value);
  const needs = [];
  if (task?.words) needs.push("words");
  if (task?.region) needs.push("a region drawn on a picture");
  if (task?.several) needs.push("several pictures");
  by("words").disabled = Boolean(task) && !task.words;
  const free = "Any question in words; #1 in it is the first region drawn.";
  const asks = needs.length ? `It needs ${needs.join(", ")}.` : "It needs a picture alone.";
  by("needs").textContent = task ? `${task.does}. ${asks}` : free;
}

function questionNow() {
  const turns = state.turns.map(({ told }) => ({ prompt: told.prompt, answer: told.text }));
  const pictures = state.stages.map((stage) => stage.picture.key);
  const words = by("words").disabled ? "" : by("words").value;
  return { pictures, task: by("task").value, words, regions: state.regions, turns };
}

async function ask() {
  const question = questionNow();
  const turn = new Turn(question, {
    bins: state.about.bins,
    look: (shape, point = null) => look(turn, shape, point),
    show: () => showTurn(turn),
    copy,
    coco: (asked) => trying(async () => copy(JSON.stringify(await talk.coco(asked), null, 1))),
  });
  by("turns").append(turn.element);
  state.asking = new AbortController();
  busy(true);
  let problem = null;
  try {
    for await (const told of talk.ask(question, state.asking.signal)) {
      problem = told.error ?? null;
      if (told.text !== undefined) turn.show(told);
      showTurn(turn);
    }
  } catch (error) { problem = error.name === "AbortError" ? "stopped" : error.message; }
  busy(false);
  if (problem) turn.element.remove();
  else if (turn.element.isConnected) state.turns.push(turn);
  if (problem && state.shown === turn) showTurn(state.turns.at(-1) ?? null);
  if (problem) throw new Error(problem);
}

function busy(asking) {
  by("ask").disabled = asking;
  by("stop").hidden = !asking;
}

function newConversation() {
  state.asking?.abort();
  state.turns = [];
  by("turns").replaceChildren();
  showTurn(null);
}

function showTurn(turn) {
  state.shown?.element.classList.remove("shown");
  state.shown = turn;
  turn?.element.classList.add("shown");
  const indexed = (turn?.told.shapes ?? []).map((shape, index) => [index, shape]);
  state.stages.forEach((stage, image) => {
    stage.showAnswer(indexed.filter(([, shape]) => shape.image === image), indexed.length > 1);
    stage.active = undefined;
  });
}

function look(turn, shape, point) {
  if (!turn) return;
  if (state.shown !== turn) showTurn(turn);
  turn.activate(shape, point);
  for (const stage of state.stages) stage.activate(shape, point, shape === null ? [] : turn.spreadsOf(shape));
}

async function copy(text) {
  await trying(async () => {
    try { await navigator.clipboard.writeText(text); } catch { throw new Error("the browser does not let a page copy"); }
    say("");
    by("help").textContent = "copied";
  });
}

// Beginning

async function takeExample(number) {
  const found = await talk.example(number);
  state.regions = [];
  setPictures(found.pictures);
  state.regions = found.regions;
  showRegions();
  by("task").value = found.task;
  by("words").value = found.words;
  describeTask();
}

function listen() {
  by("files").onchange = ({ target }) => { addFiles([...target.files]); target.value = ""; };
  by("examples").onchange = ({ target }) => target.value && trying(() => takeExample(target.value));
  by("tools").onchange = setTool;
  by("task").onchange = describeTask;
  by("form").onsubmit = (event) => { event.preventDefault(); if (!by("ask").disabled) trying(ask); };
  by("words").onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); by("form").requestSubmit(); }
  };
  by("stop").onclick = () => state.asking?.abort();
  by("anew").onclick = () => { newConversation(); state.regions = []; showRegions(); say(""); };
  const stage = by("stage");
  stage.ondragover = (event) => { event.preventDefault(); stage.classList.add("over"); };
  stage.ondragleave = () => stage.classList.remove("over");
  stage.ondrop = (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    addFiles([...event.dataTransfer.files]);
  };
  document.onpaste = ({ clipboardData }) => { if (clipboardData.files.length) addFiles([...clipboardData.files]); };
}

const empty = by("empty");
await trying(async () => {
  state.about = await talk.about();
  const { model, bins, tasks, free, examples } = state.about;
  by("model").textContent = `model: ${model} · coordinates in ${bins} bins · nothing leaves this machine`;
  by("task").append(new Option("free words", free));
  for (const task of tasks) by("task").append(new Option(`${task.name}: ${task.does}`, task.name));
  examples.forEach((title, number) => by("examples").append(new Option(title, number)));
  describeTask();
  setTool();
  listen();
});
