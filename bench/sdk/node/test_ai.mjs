// Vercel's AI SDK with its OpenAI, Anthropic and Google providers.

import { ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, QUESTION } from "./cases.mjs";
import { base, equal, key, main, test } from "./cases.mjs";

const { generateText, jsonSchema, streamText, tool } = await import("ai");
const { createAnthropic } = await import("@ai-sdk/anthropic");
const { createGoogleGenerativeAI } = await import("@ai-sdk/google");
const { createOpenAI } = await import("@ai-sdk/openai");

const apiKey = key();
const openai = createOpenAI({ baseURL: base("/openai/v1"), apiKey });
const anthropic = createAnthropic({ baseURL: base("/anthropic/v1"), apiKey });
const google = createGoogleGenerativeAI({ baseURL: base("/gemini/v1beta"), apiKey });

const models = {
  openai_responses: openai("gpt-mock"),
  openai_chat: openai.chat("gpt-mock"),
  anthropic: anthropic("claude-mock"),
  google: google("gemini-mock"),
};
const inputSchema = jsonSchema({
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
});

for (const [name, model] of Object.entries(models)) {
  test(`${name}_generate`, async () => {
    const answer = await generateText({ model, prompt: QUESTION });
    equal(answer.text, ANSWER);
    equal(answer.usage.inputTokens, INPUT_TOKENS);
    equal(answer.usage.outputTokens, OUTPUT_TOKENS);
  });

  test(`${name}_stream`, async () => {
    const answer = streamText({ model, prompt: QUESTION, onError: ({ error }) => { throw error; } });
    let text = "";
    for await (const piece of answer.textStream) text += piece;
    equal(text, ANSWER);
    equal((await answer.usage).totalTokens, INPUT_TOKENS + OUTPUT_TOKENS);
  });

  test(`${name}_tool`, async () => {
    const tools = { weather: tool({ description: "The weather of a city", inputSchema }) };
    const answer = await generateText({ model, prompt: QUESTION, tools });
    equal(answer.toolCalls.map((call) => call.input), [{ city: QUESTION }]);
  });
}

await main("vercel-ai");
