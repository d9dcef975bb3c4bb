// openai-node: chat, responses, embeddings, models, and OpenRouter's chat.

import { ANSWER, BEHAVIOR, INPUT_TOKENS, OUTPUT_TOKENS, QUESTION } from "./cases.mjs";
import { base, collect, equal, key, main, raises, test } from "./cases.mjs";

process.env.OPENAI_BASE_URL = base("/openai/v1");
process.env.OPENAI_API_KEY = key();

const { default: OpenAI } = await import("openai");
const client = new OpenAI();
const model = "gpt-mock";
const messages = [{ role: "user", content: QUESTION }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
const chatTools = [{ type: "function", function: { name: "weather", parameters } }];
const responsesTools = [{ type: "function", name: "weather", parameters, strict: true }];
const ARGUMENTS = { city: QUESTION, days: 1 };
const deltas = (chunks) => chunks.map((c) => c.choices[0]?.delta.content ?? "").join("");

test("chat", async () => {
  const answer = await client.chat.completions.create({ model, messages });
  equal(answer.choices[0].message.content, ANSWER);
  equal(answer.usage.prompt_tokens, INPUT_TOKENS);
  equal(answer.usage.completion_tokens, OUTPUT_TOKENS);
});

test("chat_stream_with_usage", async () => {
  const stream = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  equal(deltas(chunks), ANSWER);
  equal(chunks.at(-1).usage.total_tokens, INPUT_TOKENS + OUTPUT_TOKENS);
});

test("chat_stream_without_usage", async () => {
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  const chunks = await collect(stream);
  equal(deltas(chunks), ANSWER);
  equal(chunks.filter((c) => c.usage).length, 0);
});

test("chat_tool", async () => {
  const first = await client.chat.completions.create({ model, messages, tools: chatTools });
  const call = first.choices[0].message.tool_calls[0];
  equal(JSON.parse(call.function.arguments), ARGUMENTS);
  const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
  const history = [...messages, first.choices[0].message, result];
  const second = await client.chat.completions.create({ model, messages: history, tools: chatTools });
  equal(second.choices[0].message.content, "You said: sunny");
});

test("chat_tool_stream", async () => {
  const stream = client.chat.completions.stream({ model, messages, tools: chatTools });
  const answer = await stream.finalChatCompletion();
  equal(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments), ARGUMENTS);
});

test("responses", async () => {
  const answer = await client.responses.create({ model, input: QUESTION });
  equal(answer.output_text, ANSWER);
  equal(answer.usage.input_tokens, INPUT_TOKENS);
  equal(answer.usage.output_tokens, OUTPUT_TOKENS);
});

test("responses_stream", async () => {
  const stream = client.responses.stream({ model, input: QUESTION });
  const kinds = (await collect(stream)).map((event) => event.type);
  equal([kinds[0], kinds.at(-1)], ["response.created", "response.completed"]);
  equal((await stream.finalResponse()).output_text, ANSWER);
});

test("responses_tool", async () => {
  const first = await client.responses.create({ model, input: QUESTION, tools: responsesTools });
  const call = first.output[0];
  equal([call.type, JSON.parse(call.arguments)], ["function_call", ARGUMENTS]);
  const result = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  const input = [...messages, call, result];
  const second = await client.responses.create({ model, input, tools: responsesTools });
  equal(second.output_text, "You said: sunny");
});

test("responses_tool_stream", async () => {
  const stream = client.responses.stream({ model, input: QUESTION, tools: responsesTools });
  equal(JSON.parse((await stream.finalResponse()).output[0].arguments), ARGUMENTS);
});

test("embeddings", async () => {
  const answer = await client.embeddings.create({ model: "embed-mock", input: ["say hi", "hello"] });
  equal(answer.data.map((item) => item.embedding[0]), [2, 1]);
});

test("models", async () => {
  const ids = (await collect(client.models.list())).map((item) => item.id);
  equal(ids.includes(model), true);
});

test("provider_error", async () => {
  const headers = { [BEHAVIOR]: "status;code=429;retry-after=7" };
  const call = () => client.chat.completions.create({ model, messages }, { headers, maxRetries: 0 });
  const error = await raises(call);
  equal(error instanceof OpenAI.RateLimitError, true);
  equal(error.headers.get("retry-after"), "7");
});

test("broken_stream", async () => {
  const headers = { [BEHAVIOR]: "reset;after=600" };
  const stream = await client.chat.completions.create({ model, messages, stream: true }, { headers });
  await raises(() => collect(stream));
});

test("openrouter_chat", async () => {
  const router = new OpenAI({ baseURL: base("/openrouter/api/v1") });
  const answer = await router.chat.completions.create({ model: "mock/gpt-mock", messages });
  equal(answer.choices[0].message.content, ANSWER);
  const request = { model: "mock/gpt-mock", messages, stream: true };
  const chunks = await collect(await router.chat.completions.create(request));
  equal(deltas(chunks), ANSWER);
});

await main("openai-node");
