"""google-genai: generate, stream, tools, thoughts, count_tokens."""

import os

import cases
from cases import case, equal

os.environ["GOOGLE_GEMINI_BASE_URL"] = cases.base("/gemini")
os.environ["GEMINI_API_KEY"] = cases.key()

from google import genai  # noqa: E402  (reads the environment set above)
from google.genai import errors, types  # noqa: E402

client = genai.Client()
MODEL = "gemini-mock"
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            parameters_json_schema={
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        )
    ]
)


@case
def generate():
    answer = client.models.generate_content(model=MODEL, contents=cases.QUESTION)
    equal(answer.text, cases.ANSWER)
    equal(answer.usage_metadata.prompt_token_count, cases.INPUT_TOKENS)
    equal(answer.usage_metadata.candidates_token_count, cases.OUTPUT_TOKENS)


@case
def stream():
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=cases.QUESTION))
    equal("".join(chunk.text for chunk in chunks), cases.ANSWER)
    usage = chunks[-1].usage_metadata
    equal(usage.total_token_count, cases.INPUT_TOKENS + cases.OUTPUT_TOKENS)


@case
def thoughts():
    thinking = types.ThinkingConfig(include_thoughts=True)
    config = types.GenerateContentConfig(thinking_config=thinking)
    answer = client.models.generate_content(model=MODEL, contents=cases.QUESTION, config=config)
    equal([bool(part.thought) for part in answer.candidates[0].content.parts], [True, False])
    equal(answer.usage_metadata.thoughts_token_count, 5)


@case
def tool():
    config = types.GenerateContentConfig(tools=[TOOL])
    answer = client.models.generate_content(model=MODEL, contents=cases.QUESTION, config=config)
    call = answer.function_calls[0]
    equal((call.name, call.args), ("weather", {"city": cases.QUESTION}))


@case
def tool_stream():
    config = types.GenerateContentConfig(tools=[TOOL])
    chunks = client.models.generate_content_stream(
        model=MODEL, contents=cases.QUESTION, config=config
    )
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    equal([call.args for call in calls], [{"city": cases.QUESTION}])


@case
def count_tokens():
    answer = client.models.count_tokens(model=MODEL, contents=cases.QUESTION)
    equal(answer.total_tokens, cases.INPUT_TOKENS)


@case
def models():
    names = [model.name for model in client.models.list()]
    equal("models/gemini-mock" in names, True)


@case
def provider_error():
    options = types.HttpOptions(headers={cases.BEHAVIOR: "status;code=400"})
    config = types.GenerateContentConfig(http_options=options)
    error = cases.raises(
        errors.ClientError,
        lambda: client.models.generate_content(
            model=MODEL, contents=cases.QUESTION, config=config
        ),
    )
    equal((error.code, error.status), (400, "INVALID_ARGUMENT"))


if __name__ == "__main__":
    cases.main("google-genai-python")
