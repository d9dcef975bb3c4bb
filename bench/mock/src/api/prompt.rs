//! What all APIs have in common: the texts of a request, the answer they get, and its usage.
//!
//! The rules, which tests rely on (README.md of the crate repeats them):
//! * a text counts as many tokens as it has words (runs of characters between white space);
//! * the input is every text of instructions, messages and tool results;
//! * a text that begins with `cached:` counts as read from the cache, one that begins with
//!   `cache-write:` or carries `cache_control` as written to it;
//! * the answer is `You said: ` and the last text of the user or of a tool;
//! * when tools are offered and the last message is not a tool's result, the answer is a call of
//!   the first tool, whose required arguments are filled by type; it counts the words of the
//!   arguments in compact JSON;
//! * a scripted call takes the place of that when the request offers its tool; when it does not, the
//!   answer is a text;
//! * thinking, when asked for, is [`THINKING_TEXT`].

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::Knobs;

/// The text of every thinking block; five tokens.
pub const THINKING_TEXT: &str = "Let me think about that.";

/// How many tokens a text counts: its words.
pub fn count_tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// How often usage is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageMode {
    /// As the API does.
    Once,
    /// Never.
    Never,
    /// In two places of a stream.
    Twice,
}

/// A tool call that a test writes down word for word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scripted {
    pub(crate) tool: String,
    pub(crate) argument: String,
    pub(crate) value: String,
}

/// How a text meets the prompt cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    Outside,
    Read,
    Write5Minutes,
    Write1Hour,
}

/// The texts of a request.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    counts: Counts,
    /// The last text of the user or of a tool.
    last_text: String,
    tools: Vec<Tool>,
    last_is_tool_result: bool,
    pub(crate) thinking: bool,
}

/// A tool that a request offers.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) parameters: Value,
}

/// Tokens by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) input_outside_cache: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write_5_minutes: u64,
    pub(crate) cache_write_1_hour: u64,
    /// Without thinking.
    pub(crate) output: u64,
    pub(crate) thinking: u64,
}

impl Counts {
    pub(crate) fn cache_write(self) -> u64 {
        self.cache_write_5_minutes + self.cache_write_1_hour
    }

    pub(crate) fn input(self) -> u64 {
        self.input_outside_cache + self.cache_read + self.cache_write()
    }

    pub(crate) fn output_with_thinking(self) -> u64 {
        self.output + self.thinking
    }
}

/// What the model answers.
#[derive(Debug)]
pub(crate) enum Output {
    Text(String),
    Call { name: String, arguments: Value },
}

/// One answer: thinking, output and usage.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) model: String,
    pub(crate) thinking: Option<&'static str>,
    pub(crate) output: Output,
    pub(crate) counts: Counts,
}

impl Prompt {
    /// Counts a text that the user did not say last (instructions, the assistant's own).
    pub(crate) fn background(&mut self, text: &str, cache: Option<Cache>) {
        let tokens = count_tokens(text);
        let counts = &mut self.counts;
        match cache.unwrap_or_else(|| cache_by_prefix(text)) {
            Cache::Outside => counts.input_outside_cache += tokens,
            Cache::Read => counts.cache_read += tokens,
            Cache::Write5Minutes => counts.cache_write_5_minutes += tokens,
            Cache::Write1Hour => counts.cache_write_1_hour += tokens,
        }
    }

    /// Counts a text that the answer will repeat if no other comes after it.
    pub(crate) fn foreground(&mut self, text: &str, cache: Option<Cache>, is_tool_result: bool) {
        self.background(text, cache);
        text.clone_into(&mut self.last_text);
        self.last_is_tool_result = is_tool_result;
    }

    /// Offers a tool; the first one counts, or the one that is scripted.
    pub(crate) fn offer(&mut self, name: Option<&str>, parameters: &Value) {
        if let Some(name) = name {
            let name = name.to_owned();
            self.tools.push(Tool { name, parameters: parameters.clone() });
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The answer to this prompt.
    pub(crate) fn into_turn(self, model: String, knobs: &Knobs) -> Turn {
        let Self { mut counts, last_text, tools, last_is_tool_result, thinking } = self;
        let call = match &knobs.call {
            Some(call) => tools.iter().find(|tool| tool.name == call.tool).map(|_| {
                let arguments = json!({ call.argument.as_str(): call.value });
                (call.tool.clone(), arguments)
            }),
            None => tools
                .first()
                .map(|tool| (tool.name.clone(), arguments(&tool.parameters, &last_text))),
        };
        let output = match call {
            Some((name, arguments)) if !last_is_tool_result => {
                counts.output = count_tokens(&arguments.to_string());
                Output::Call { name, arguments }
            }
            _ => {
                let text = format!("You said: {last_text}");
                counts.output = count_tokens(&text);
                Output::Text(text)
            }
        };
        let thinking = (thinking || knobs.thinking).then_some(THINKING_TEXT);
        counts.thinking = thinking.map_or(0, count_tokens);
        Turn { model, thinking, output, counts }
    }
}

fn cache_by_prefix(text: &str) -> Cache {
    match text {
        text if text.starts_with("cached:") => Cache::Read,
        text if text.starts_with("cache-write:") => Cache::Write5Minutes,
        _ => Cache::Outside,
    }
}

/// Fills the required properties of a JSON schema by their types; strings repeat the user.
fn arguments(schema: &Value, last_text: &str) -> Value {
    let mut object = Map::new();
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for name in required.iter().filter_map(Value::as_str) {
        let kind = schema["properties"][name]["type"].as_str().unwrap_or("string");
        let value = match kind.to_ascii_lowercase().as_str() {
            "number" | "integer" => json!(1),
            "boolean" => json!(true),
            "array" => json!([]),
            "object" => json!({}),
            _ => json!(last_text),
        };
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// A text in the pieces in which it is streamed: each word with the white space after it.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let space = rest[word..].find(|c: char| !c.is_whitespace()).unwrap_or(rest.len() - word);
        let (piece, after) = rest.split_at(word + space);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_text() {
        for text in ["", " ", "a", " a  b\n", "You said: hä 🦀  "] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces("say  hi "), ["say  ", "hi "]);
    }

    #[test]
    fn arguments_follow_the_schema() {
        let schema = json!({
            "properties": {
                "city": {"type": "string"}, "days": {"type": "integer"}, "x": {"type": "BOOLEAN"}
            },
            "required": ["city", "days", "x"]
        });
        let expected = json!({"city": "in Rome", "days": 1, "x": true});
        assert_eq!(arguments(&schema, "in Rome"), expected);
    }

    #[test]
    fn cached_texts_are_counted_apart() {
        let mut prompt = Prompt::default();
        prompt.background("cached: one two", None);
        prompt.background("cache-write: one", None);
        prompt.background("one", Some(Cache::Write1Hour));
        prompt.foreground("say hi", None, false);
        let counts = prompt.counts();
        assert_eq!(counts.input_outside_cache, 2);
        assert_eq!(counts.cache_read, 3);
        assert_eq!(counts.cache_write_5_minutes, 2);
        assert_eq!(counts.cache_write_1_hour, 1);
        assert_eq!(counts.input(), 8);
    }
}
