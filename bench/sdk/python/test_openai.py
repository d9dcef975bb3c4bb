"""openai-python: chat, responses, embeddings, models, and OpenRouter's chat."""

import json
import os

import cases
from cases import case, equal

os.environ["OPENAI_BASE_URL"] = cases.base("/openai/v1")
os.environ["OPENAI_API_KEY"] = cases.key()

import openai  # noqa: E402  (reads the environment set above)

client = openai.OpenAI()
MODEL = "gpt-mock"
ASK = [{"role": "user", "content": cases.QUESTION}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
RESPONSES_TOOL = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
ARGUMENTS = {"city": cases.QUESTION, "days": 1}


@case
def chat():
    answer = client.chat.completions.create(model=MODEL, messages=ASK)
    equal(answer.choices[0].message.content, cases.ANSWER)
    equal(answer.choices[0].finish_reason, "stop")
    equal(answer.usage.prompt_tokens, cases.INPUT_TOKENS)
    equal(answer.usage.completion_tokens, cases.OUTPUT_TOKENS)


@case
def chat_stream_with_usage():
    stream = client.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    equal(text, cases.ANSWER)
    equal(chunks[-1].choices, [])
    equal(chunks[-1].usage.total_tokens, cases.INPUT_TOKENS + cases.OUTPUT_TOKENS)


@case
def chat_stream_without_usage():
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True))
    equal("".join(c.choices[0].delta.content or "" for c in chunks), cases.ANSWER)
    equal([c.usage for c in chunks if c.usage], [])


@case
def chat_tool():
    answer = client.chat.completions.create(model=MODEL, messages=ASK, tools=[CHAT_TOOL])
    call = answer.choices[0].message.tool_calls[0]
    equal((call.function.name, json.loads(call.function.arguments)), ("weather", ARGUMENTS))
    history = ASK + [
        answer.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    second = client.chat.completions.create(model=MODEL, messages=history, tools=[CHAT_TOOL])
    equal(second.choices[0].message.content, "You said: sunny")


@case
def chat_tool_stream():
    with client.chat.completions.stream(model=MODEL, messages=ASK, tools=[CHAT_TOOL]) as stream:
        stream.until_done()
        message = stream.get_final_completion().choices[0].message
    equal(json.loads(message.tool_calls[0].function.arguments), ARGUMENTS)


@case
def responses():
    answer = client.responses.create(model=MODEL, input=cases.QUESTION)
    equal(answer.output_text, cases.ANSWER)
    equal(answer.usage.input_tokens, cases.INPUT_TOKENS)
    equal(answer.usage.output_tokens, cases.OUTPUT_TOKENS)


@case
def responses_stream():
    with client.responses.stream(model=MODEL, input=cases.QUESTION) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_response()
    equal((kinds[0], kinds[-1]), ("response.created", "response.completed"))
    equal(answer.output_text, cases.ANSWER)
    equal(answer.usage.total_tokens, cases.INPUT_TOKENS + cases.OUTPUT_TOKENS)


@case
def responses_reasoning_stream():
    events = client.responses.create(
        model=MODEL, input=cases.QUESTION, reasoning={"effort": "low"}, stream=True
    )
    answer = [event for event in events if event.type == "response.completed"][0].response
    equal([item.type for item in answer.output], ["reasoning", "message"])
    equal(answer.usage.output_tokens_details.reasoning_tokens, 5)
    equal(answer.usage.output_tokens, cases.OUTPUT_TOKENS + 5)


@case
def responses_tool():
    answer = client.responses.create(model=MODEL, input=cases.QUESTION, tools=[RESPONSES_TOOL])
    call = answer.output[0]
    equal((call.type, call.name, json.loads(call.arguments)), ("function_call", "weather", ARGUMENTS))
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    history = [{"role": "user", "content": cases.QUESTION}, call, result]
    second = client.responses.create(model=MODEL, input=history, tools=[RESPONSES_TOOL])
    equal(second.output_text, "You said: sunny")


@case
def responses_tool_stream():
    with client.responses.stream(
        model=MODEL, input=cases.QUESTION, tools=[RESPONSES_TOOL]
    ) as stream:
        deltas = [e.delta for e in stream if e.type == "response.function_call_arguments.delta"]
        call = stream.get_final_response().output[0]
    equal(json.loads("".join(deltas)), ARGUMENTS)
    equal(json.loads(call.arguments), ARGUMENTS)


@case
def embeddings():
    answer = client.embeddings.create(model="embed-mock", input=["say hi", "hello"])
    equal([item.embedding[0] for item in answer.data], [2.0, 1.0])
    equal(answer.usage.prompt_tokens, 3)


@case
def models():
    equal(MODEL in [model.id for model in client.models.list()], True)


@case
def provider_error():
    once = client.with_options(max_retries=0)
    headers = {cases.BEHAVIOR: "status;code=429;retry-after=7"}
    error = cases.raises(
        openai.RateLimitError,
        lambda: once.chat.completions.create(model=MODEL, messages=ASK, extra_headers=headers),
    )
    equal(error.response.headers["retry-after"], "7")
    equal(error.body["message"], "The mock answers 429 on demand.")


@case
def broken_stream():
    headers = {cases.BEHAVIOR: "reset;after=600"}
    stream = client.chat.completions.create(
        model=MODEL, messages=ASK, stream=True, extra_headers=headers
    )
    cases.raises(Exception, lambda: list(stream))


@case
def async_chat_stream():
    import asyncio

    async def run():
        async with openai.AsyncOpenAI() as client:
            stream = await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream])

    equal(asyncio.run(run()), cases.ANSWER)


@case
def openrouter_chat():
    router = openai.OpenAI(base_url=cases.base("/openrouter/api/v1"))
    answer = router.chat.completions.create(model="mock/gpt-mock", messages=ASK)
    equal(answer.choices[0].message.content, cases.ANSWER)
    stream = router.chat.completions.create(model="mock/gpt-mock", messages=ASK, stream=True)
    chunks = list(stream)
    equal("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), cases.ANSWER)
    equal(chunks[-1].usage.total_tokens, cases.INPUT_TOKENS + cases.OUTPUT_TOKENS)


if __name__ == "__main__":
    cases.main("openai-python")
