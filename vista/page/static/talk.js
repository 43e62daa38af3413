// What goes to the server and comes back. Every refusal is an Error whose message is a sentence for the person.

const CALL = "gradio/gradio_api/call/ask";
const SILENT = "the server does not answer; is it still running?";

async function reply(path, options) {
  const response = await fetch(path, options).catch(() => { throw new Error(SILENT); });
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(sentence(response.status, content));
  return content;
}

function sentence(status, content) {
  if (content.error) return content.error;
  if (status === 413) return "this is more than the server takes";
  if (status === 503) return "too many questions are waiting; ask again in a minute";
  return `the server refused this (${status})`;
}

const json = (data) => ({
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data),
});

export const about = () => reply("about");
export const example = (number) => reply(`examples/${number}`, { method: "POST" });
export const coco = (question) => reply("coco", json(question));

export function upload(file, limits) {
  const megabytes = limits.upload / 1e6;
  // Said here, since a browser that is refused in the middle of a long body shows no answer.
  if (file.size > limits.upload) {
    throw new Error(`The file ${file.name} is too large: more than ${megabytes} MB.`);
  }
  return reply(`pictures?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
}

// The answer as it is written: its text and shapes, ever more of them.
export async function* ask(question, signal) {
  const { event_id: event } = await reply(CALL, { ...json({ data: [question] }), signal });
  const response = await fetch(`${CALL}/${event}`, { signal });
  if (!response.ok || !response.body) throw new Error(SILENT);
  for await (const { name, data } of events(response.body)) {
    if (name === "error") throw new Error("the server could not answer; its terminal says why");
    if (name === "generating" && data) yield data[0];
    if (name === "complete") return;
  }
}

// Server-sent events of a stream: `event: NAME`, `data: JSON`, an empty line.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const [, name] = part.match(/^event: (.*)$/m) ?? [];
        const [, data] = part.match(/^data: (.*)$/m) ?? [];
        yield { name, data: data ? JSON.parse(data) : null };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
