// @anthropic-ai/sdk: messages, streams, tools, thinking, count_tokens, models.

import { ANSWER, BEHAVIOR, INPUT_TOKENS, OUTPUT_TOKENS, QUESTION } from "./cases.mjs";
import { base, collect, equal, key, main, raises, test } from "./cases.mjs";

process.env.ANTHROPIC_BASE_URL = base("/anthropic");
process.env.ANTHROPIC_API_KEY = key();

const { default: Anthropic } = await import("@anthropic-ai/sdk");
const client = new Anthropic();
const model = "claude-mock";
const messages = [{ role: "user", content: QUESTION }];
const ask = { model, max_tokens: 2048, messages };
const input_schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};
const tools = [{ name: "weather", description: "The weather of a city", input_schema }];
const thinking = { type: "enabled", budget_tokens: 1024 };

test("messages", async () => {
  const answer = await client.messages.create(ask);
  equal(answer.content[0].text, ANSWER);
  equal(answer.usage.input_tokens, INPUT_TOKENS);
  equal(answer.usage.output_tokens, OUTPUT_TOKENS);
});

test("messages_stream", async () => {
  const stream = client.messages.stream(ask);
  const answer = await stream.finalMessage();
  equal(answer.content[0].text, ANSWER);
  equal(answer.usage.input_tokens, INPUT_TOKENS);
  equal(answer.usage.output_tokens, OUTPUT_TOKENS);
});

test("stream_events", async () => {
  const kinds = (await collect(await client.messages.create({ ...ask, stream: true })))
    .map((event) => event.type);
  equal(kinds[0], "message_start");
  equal(kinds.slice(-2), ["message_delta", "message_stop"]);
});

test("tool", async () => {
  const answer = await client.messages.create({ ...ask, tools });
  equal(answer.stop_reason, "tool_use");
  equal(answer.content[0].input, { city: QUESTION });
});

test("thinking_signature_survives_a_conversation", async () => {
  const first = await client.messages.stream({ ...ask, tools, thinking }).finalMessage();
  equal(first.content.map((block) => block.type), ["thinking", "tool_use"]);
  const result = { type: "tool_result", tool_use_id: first.content[1].id, content: "sunny" };
  const history = [
    ...messages,
    { role: "assistant", content: first.content },
    { role: "user", content: [result] },
  ];
  // The mock refuses a thinking block whose signature is not the one it gave.
  const second = await client.messages.create({ ...ask, messages: history, tools, thinking });
  equal(second.content.at(-1).text, "You said: sunny");
});

test("count_tokens", async () => {
  const answer = await client.messages.countTokens({ model, messages });
  equal(answer.input_tokens, INPUT_TOKENS);
});

test("models", async () => {
  const ids = (await collect(client.models.list())).map((item) => item.id);
  equal(ids.includes(model), true);
});

test("provider_error", async () => {
  const headers = { [BEHAVIOR]: "status;code=529" };
  const error = await raises(() => client.messages.create(ask, { headers, maxRetries: 0 }));
  equal(error.status, 529);
  equal(error.error.error.type, "overloaded_error");
});

test("broken_stream", async () => {
  const headers = { [BEHAVIOR]: "reset;after=600" };
  const stream = await client.messages.create({ ...ask, stream: true }, { headers });
  await raises(() => collect(stream));
});

await main("anthropic-node");
