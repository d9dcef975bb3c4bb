// @google/genai: generate, stream, tools, thoughts, count_tokens.

import { ANSWER, BEHAVIOR, INPUT_TOKENS, OUTPUT_TOKENS, QUESTION } from "./cases.mjs";
import { base, collect, equal, key, main, raises, test } from "./cases.mjs";

process.env.GOOGLE_GEMINI_BASE_URL = base("/gemini");
process.env.GEMINI_API_KEY = key();

const { GoogleGenAI } = await import("@google/genai");
const client = new GoogleGenAI({});
const model = "gemini-mock";
const contents = QUESTION;
const parametersJsonSchema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};
const tools = [{ functionDeclarations: [{ name: "weather", parametersJsonSchema }] }];

test("generate", async () => {
  const answer = await client.models.generateContent({ model, contents });
  equal(answer.text, ANSWER);
  equal(answer.usageMetadata.promptTokenCount, INPUT_TOKENS);
  equal(answer.usageMetadata.candidatesTokenCount, OUTPUT_TOKENS);
});

test("stream", async () => {
  const chunks = await collect(await client.models.generateContentStream({ model, contents }));
  equal(chunks.map((chunk) => chunk.text).join(""), ANSWER);
  equal(chunks.at(-1).usageMetadata.totalTokenCount, INPUT_TOKENS + OUTPUT_TOKENS);
});

test("thoughts", async () => {
  const config = { thinkingConfig: { includeThoughts: true } };
  const answer = await client.models.generateContent({ model, contents, config });
  equal(answer.candidates[0].content.parts.map((part) => Boolean(part.thought)), [true, false]);
});

test("tool", async () => {
  const answer = await client.models.generateContent({ model, contents, config: { tools } });
  equal(answer.functionCalls[0].args, { city: QUESTION });
});

test("count_tokens", async () => {
  const answer = await client.models.countTokens({ model, contents });
  equal(answer.totalTokens, INPUT_TOKENS);
});

test("provider_error", async () => {
  const config = { httpOptions: { headers: { [BEHAVIOR]: "status;code=400" } } };
  const error = await raises(() => client.models.generateContent({ model, contents, config }));
  equal(error.status, 400);
  equal(error.message.includes("INVALID_ARGUMENT"), true);
});

await main("google-genai-node");
