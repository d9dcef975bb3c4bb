"""langchain-openai: chat and responses through base_url, streamed and not, tools."""

import cases
from cases import case, equal
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

KNOBS = {"base_url": cases.base("/openai/v1"), "api_key": cases.key()}
chat = ChatOpenAI(model="gpt-mock", **KNOBS)


@case
def invoke():
    answer = chat.invoke(cases.QUESTION)
    equal(answer.text, cases.ANSWER)
    equal(answer.usage_metadata["input_tokens"], cases.INPUT_TOKENS)
    equal(answer.usage_metadata["output_tokens"], cases.OUTPUT_TOKENS)


@case
def stream():
    equal("".join(chunk.text for chunk in chat.stream(cases.QUESTION)), cases.ANSWER)


@case
def stream_with_usage():
    telling = ChatOpenAI(model="gpt-mock", stream_usage=True, **KNOBS)
    total = None
    for chunk in telling.stream(cases.QUESTION):
        total = chunk if total is None else total + chunk
    equal(total.text, cases.ANSWER)
    equal(total.usage_metadata["total_tokens"], cases.INPUT_TOKENS + cases.OUTPUT_TOKENS)


@case
def tool():
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    call = chat.bind_tools([weather]).invoke(cases.QUESTION).tool_calls[0]
    equal((call["name"], call["args"]), ("weather", {"city": cases.QUESTION}))


@case
def responses_stream():
    other = ChatOpenAI(model="gpt-mock", use_responses_api=True, **KNOBS)
    equal("".join(chunk.text for chunk in other.stream(cases.QUESTION)), cases.ANSWER)


@case
def embeddings():
    embedder = OpenAIEmbeddings(model="embed-mock", check_embedding_ctx_length=False, **KNOBS)
    equal(embedder.embed_query("say hi")[0], 2.0)


if __name__ == "__main__":
    cases.main("langchain-openai")
