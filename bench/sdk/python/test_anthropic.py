"""anthropic-python: messages, streams, tools, thinking, cache control, count_tokens, models."""

import os

import cases
from cases import case, equal

os.environ["ANTHROPIC_BASE_URL"] = cases.base("/anthropic")
os.environ["ANTHROPIC_API_KEY"] = cases.key()

import anthropic  # noqa: E402  (reads the environment set above)

client = anthropic.Anthropic()
ASK = {
    "model": "claude-mock",
    "max_tokens": 2048,
    "messages": [{"role": "user", "content": cases.QUESTION}],
}
TOOL = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
THINKING = {"type": "enabled", "budget_tokens": 1024}


@case
def messages():
    answer = client.messages.create(**ASK)
    equal(answer.content[0].text, cases.ANSWER)
    equal(answer.stop_reason, "end_turn")
    equal(answer.usage.input_tokens, cases.INPUT_TOKENS)
    equal(answer.usage.output_tokens, cases.OUTPUT_TOKENS)


@case
def messages_stream():
    with client.messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    equal(text, cases.ANSWER)
    equal(answer.usage.input_tokens, cases.INPUT_TOKENS)
    equal(answer.usage.output_tokens, cases.OUTPUT_TOKENS)


@case
def stream_events():
    kinds = [event.type for event in client.messages.create(**ASK, stream=True)]
    equal(kinds[0], "message_start")
    equal(kinds[-2:], ["message_delta", "message_stop"])


@case
def cache_control():
    block = {"type": "text", "text": "be very short", "cache_control": {"type": "ephemeral"}}
    hour = {
        "type": "text",
        "text": "and polite",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    read = {"type": "text", "text": "cached: one two"}
    usage = client.messages.create(**ASK, system=[block, hour, read]).usage
    equal(usage.input_tokens, cases.INPUT_TOKENS)
    equal(usage.cache_creation_input_tokens, 5)
    equal(usage.cache_creation.ephemeral_5m_input_tokens, 3)
    equal(usage.cache_creation.ephemeral_1h_input_tokens, 2)
    equal(usage.cache_read_input_tokens, 3)


@case
def tool():
    answer = client.messages.create(**ASK, tools=[TOOL])
    equal(answer.stop_reason, "tool_use")
    equal((answer.content[0].name, answer.content[0].input), ("weather", {"city": cases.QUESTION}))


@case
def tool_stream():
    with client.messages.stream(**ASK, tools=[TOOL]) as stream:
        answer = stream.get_final_message()
    equal(answer.content[0].input, {"city": cases.QUESTION})


@case
def thinking_signature_survives_a_conversation():
    with client.messages.stream(**ASK, tools=[TOOL], thinking=THINKING) as stream:
        first = stream.get_final_message()
    equal([block.type for block in first.content], ["thinking", "tool_use"])
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "sunny"}
    history = ASK["messages"] + [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    # The mock refuses a thinking block whose signature is not the one it gave.
    second = client.messages.create(
        **{**ASK, "messages": history}, tools=[TOOL], thinking=THINKING
    )
    equal(second.content[-1].text, "You said: sunny")


@case
def count_tokens():
    answer = client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    equal(answer.input_tokens, cases.INPUT_TOKENS)


@case
def models():
    equal(ASK["model"] in [model.id for model in client.models.list(limit=1000)], True)


@case
def beta_query():
    answer = client.beta.messages.create(**ASK, betas=["made-up-2026-01-01"])
    equal(answer.content[0].text, cases.ANSWER)


@case
def provider_error():
    once = client.with_options(max_retries=0)
    headers = {cases.BEHAVIOR: "status;code=529"}
    error = cases.raises(
        anthropic.APIStatusError, lambda: once.messages.create(**ASK, extra_headers=headers)
    )
    equal(error.status_code, 529)
    equal(error.body["error"]["type"], "overloaded_error")


@case
def broken_stream():
    headers = {cases.BEHAVIOR: "reset;after=600"}
    stream = client.messages.create(**ASK, stream=True, extra_headers=headers)
    cases.raises(Exception, lambda: list(stream))


@case
def bearer_token():
    other = anthropic.Anthropic(api_key=None, auth_token=cases.key())
    equal(other.messages.create(**ASK).content[0].text, cases.ANSWER)


if __name__ == "__main__":
    cases.main("anthropic-python")
