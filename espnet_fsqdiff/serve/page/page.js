"use strict";

const OPTIONS = ["speed", "num_steps", "num_takes", "seed"];
const element = (id) => document.getElementById(id);
let maxChars = 0;

function say(status, error = "") {
  element("status").textContent = status;
  element("error").textContent = error;
}

function count() {
  const chars = [...element("text").value].length;
  element("count").textContent = `${chars} of at most ${maxChars} characters`;
}

// Base64 to the address of a file in memory; the one before it is let go.
function fileAddress(coded, type, before) {
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  const bytes = Uint8Array.from(atob(coded), (c) => c.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type }));
}

function cell(row, text) {
  row.insertCell().textContent = text;
}

function show(answer) {
  const audio = element("audio");
  audio.src = fileAddress(answer.wav, "audio/wav", audio.src);
  element("download").href = audio.src;
  const picture = element("picture");
  picture.src = fileAddress(answer.picture, "image/png", picture.src);
  picture.alt = `Mel spectrogram of ${answer.seconds.toFixed(1)} seconds of speech`;
  const rows = answer.sentences.map((sentence) => {
    const row = document.createElement("tr");
    const start = document.createElement("button");
    start.type = "button";
    start.textContent = sentence.start.toFixed(2);
    start.setAttribute("aria-label", `Play from ${start.textContent} seconds`);
    start.addEventListener("click", () => {
      audio.currentTime = sentence.start;
      audio.play();
    });
    row.insertCell().append(start);
    cell(row, sentence.end.toFixed(2));
    cell(row, sentence.text);
    return row;
  });
  element("sentences").replaceChildren(...rows);
  element("result").hidden = false;
  const took = `${answer.seconds.toFixed(1)} s of speech in ${answer.took.toFixed(1)} s`;
  const cut = answer.complete ? "" : "; the model did not stop, it is cut off";
  say(`${took} (real-time factor ${answer.rtf.toFixed(2)})${cut}`);
  audio.play().catch(() => {}); // a browser may want a click first
}

async function ask(address, request) {
  const response = await fetch(address, request);
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { error: text.trim() };
  }
  if (!response.ok) throw new Error(answer.error || `status ${response.status}`);
  return answer;
}

async function speak(event) {
  event.preventDefault();
  if (element("speak").disabled) return;
  const asked = { text: element("text").value, voice: element("voice").value };
  for (const name of OPTIONS) {
    const value = element(name).value.trim();
    if (value !== "") asked[name] = Number(value);
  }
  const begun = performance.now();
  const tick = () => say(`Speaking, ${Math.round((performance.now() - begun) / 1000)} s`);
  const timer = setInterval(tick, 1000);
  say("Speaking");
  element("speak").disabled = true;
  try {
    show(
      await ask("speak", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(asked),
      }),
    );
  } catch (e) {
    const gone = e instanceof TypeError;
    say("", gone ? "The server does not answer; is it still running?" : e.message);
  } finally {
    clearInterval(timer);
    element("speak").disabled = false;
  }
}

async function begin() {
  element("form").addEventListener("submit", speak);
  element("text").addEventListener("input", count);
  element("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      element("form").requestSubmit();
    }
  });
  const about = await ask("voices");
  maxChars = about.max_chars;
  element("voice").replaceChildren(...about.voices.map((name) => new Option(name)));
  for (const name of OPTIONS) {
    element(name).min = about.options[name].least;
    element(name).max = about.options[name].most;
  }
  count();
}

begin().catch((e) => say("", e.message));
