//! Bodies of the native APIs, whole or streamed: which tool calls and texts they hold, and how a
//! tool call is changed in place.
//!
//! Nothing here asks which API it is: the shapes tell themselves apart. A body that is neither JSON
//! nor a stream of events is no message.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

/// A body as its JSON documents, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    framing: Framing,
    documents: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Framing {
    /// One document.
    Whole,
    /// Gemini's stream without `alt=sse`: an array of documents.
    Array,
    /// Server-sent events: lines, of which those with a number are the data lines of a document.
    Events(Vec<Line>),
}

#[derive(Clone, Debug, PartialEq)]
enum Line {
    Kept(String),
    Data(usize),
}

/// A tool call as an agent would understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The provider's name of this call.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// Arguments, JSON text.
    pub arguments: String,
}

/// One place in a document that holds arguments of a call, or a part of them.
struct Slot {
    key: String,
    document: usize,
    pointer: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Part of the text of the arguments; the parts of a key make the whole.
    Fragment,
    /// The whole text once more.
    Text,
    /// The whole as an object.
    Object,
}

#[derive(Default)]
struct Calls {
    /// Name and id of each call by its key, in order of appearance.
    named: Vec<(String, String, String)>,
    slots: Vec<Slot>,
}

impl Message {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Option<Self> {
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return match value {
                Value::Array(documents) => Some(Self { framing: Framing::Array, documents }),
                Value::Object(_) => Some(Self { framing: Framing::Whole, documents: vec![value] }),
                _ => None,
            };
        }
        let text = std::str::from_utf8(body).ok()?;
        let (mut lines, mut documents) = (Vec::new(), Vec::new());
        for line in text.split('\n') {
            let data = line.strip_prefix("data:").map(str::trim);
            match data.and_then(|data| serde_json::from_str(data).ok()) {
                Some(document) => {
                    lines.push(Line::Data(documents.len()));
                    documents.push(document);
                }
                None => lines.push(Line::Kept(line.to_owned())),
            }
        }
        (!documents.is_empty()).then_some(Self { framing: Framing::Events(lines), documents })
    }

    /// The body again.
    pub fn write(&self) -> Vec<u8> {
        match &self.framing {
            Framing::Whole => self.documents[0].to_string().into_bytes(),
            Framing::Array => json!(self.documents).to_string().into_bytes(),
            Framing::Events(lines) => {
                let line = |line: &Line| match line {
                    Line::Kept(text) => text.clone(),
                    Line::Data(number) => format!("data: {}", self.documents[*number]),
                };
                lines.iter().map(line).collect::<Vec<_>>().join("\n").into_bytes()
            }
        }
    }

    /// The tool calls of an answer.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.find();
        let call = |(key, name, id): &(String, String, String)| {
            let arguments = self.arguments(&calls, key);
            Call { id: id.clone(), name: name.clone(), arguments }
        };
        calls.named.iter().map(call).collect()
    }

    /// Gives each call new arguments where `change` gives any; tells whether it did.
    pub fn change_calls(&mut self, change: &dyn Fn(&Call) -> Option<String>) -> bool {
        let calls = self.find();
        let mut changed = false;
        for (key, name, id) in &calls.named {
            let arguments = self.arguments(&calls, key);
            let call = Call { id: id.clone(), name: name.clone(), arguments };
            if let Some(new) = change(&call) {
                self.put(&calls, key, &new);
                changed = true;
            }
        }
        changed
    }

    /// Every text of the message, the pieces of a stream joined.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = BTreeMap::new();
        for document in &self.documents {
            leaves(document, &mut String::new(), &mut texts);
        }
        texts.into_values().collect()
    }

    fn find(&self) -> Calls {
        let mut calls = Calls::default();
        for (number, document) in self.documents.iter().enumerate() {
            calls.chat(number, document);
            calls.responses(number, document);
            calls.messages(number, document);
            calls.gemini(number, document);
        }
        calls
    }

    fn arguments(&self, calls: &Calls, key: &str) -> String {
        let slots = || calls.slots.iter().filter(|slot| slot.key == key);
        let at = |slot: &Slot| self.documents[slot.document].pointer(&slot.pointer);
        let text = |slot: &Slot| at(slot).and_then(Value::as_str).unwrap_or_default().to_owned();
        let fragments: String = slots().filter(|s| s.kind == Kind::Fragment).map(text).collect();
        if !fragments.is_empty() {
            return fragments;
        }
        let whole = slots().find(|slot| slot.kind != Kind::Fragment);
        whole.map(|slot| at(slot).map_or(String::new(), plain)).unwrap_or_default()
    }

    fn put(&mut self, calls: &Calls, key: &str, arguments: &str) {
        let mut rest = arguments;
        for slot in calls.slots.iter().filter(|slot| slot.key == key) {
            let Some(place) = self.documents[slot.document].pointer_mut(&slot.pointer) else {
                continue;
            };
            *place = match slot.kind {
                // The first fragment takes all, the others nothing.
                Kind::Fragment => json!(std::mem::take(&mut rest)),
                Kind::Text => json!(arguments),
                Kind::Object => serde_json::from_str(arguments).unwrap_or_default(),
            };
        }
    }
}

impl Calls {
    fn name(&mut self, key: &str, name: &Value, id: &Value) {
        let Some(name) = name.as_str() else { return };
        if self.named.iter().all(|(known, ..)| known != key) {
            let id = id.as_str().unwrap_or(name).to_owned();
            self.named.push((key.to_owned(), name.to_owned(), id));
        }
    }

    fn slot(&mut self, key: &str, document: usize, pointer: String, kind: Kind) {
        self.slots.push(Slot { key: key.to_owned(), document, pointer, kind });
    }

    fn chat(&mut self, number: usize, document: &Value) {
        for (c, choice) in items(&document["choices"]) {
            for part in ["message", "delta"] {
                for (i, call) in items(&choice[part]["tool_calls"]) {
                    let key = format!("chat {}", call["index"].as_u64().unwrap_or(i as u64));
                    self.name(&key, &call["function"]["name"], &call["id"]);
                    let place = format!("/choices/{c}/{part}/tool_calls/{i}/function/arguments");
                    self.slot(&key, number, place, Kind::Fragment);
                }
            }
        }
    }

    fn responses(&mut self, number: usize, document: &Value) {
        let key = format!("responses {}", document["item_id"].as_str().unwrap_or_default());
        match document["type"].as_str() {
            Some("response.function_call_arguments.delta") => {
                self.slot(&key, number, "/delta".into(), Kind::Fragment);
            }
            Some("response.function_call_arguments.done") => {
                self.slot(&key, number, "/arguments".into(), Kind::Text);
            }
            Some("response.output_item.added") => self.item(number, document, "/item", false),
            Some("response.output_item.done") => self.item(number, document, "/item", true),
            _ => {
                for prefix in ["/response/output", "/output"] {
                    let list = document.pointer(prefix).unwrap_or(&Value::Null);
                    for (i, _) in items(list) {
                        self.item(number, document, &format!("{prefix}/{i}"), true);
                    }
                }
            }
        }
    }

    fn item(&mut self, number: usize, document: &Value, at: &str, done: bool) {
        let item = document.pointer(at).unwrap_or(&Value::Null);
        if item["type"] == json!("function_call") {
            let key = format!("responses {}", item["id"].as_str().unwrap_or_default());
            self.name(&key, &item["name"], &item["call_id"]);
            if done {
                self.slot(&key, number, format!("{at}/arguments"), Kind::Text);
            }
        }
    }

    fn messages(&mut self, number: usize, document: &Value) {
        let key = |index: u64| format!("messages {index}");
        let block = &document["content_block"];
        let index = document["index"].as_u64().unwrap_or_default();
        if block["type"] == json!("tool_use") {
            self.name(&key(index), &block["name"], &block["id"]);
        }
        if document["delta"]["type"] == json!("input_json_delta") {
            self.slot(&key(index), number, "/delta/partial_json".into(), Kind::Fragment);
        }
        for (i, block) in items(&document["content"]) {
            if block["type"] == json!("tool_use") {
                self.name(&key(i as u64), &block["name"], &block["id"]);
                self.slot(&key(i as u64), number, format!("/content/{i}/input"), Kind::Object);
            }
        }
    }

    fn gemini(&mut self, number: usize, document: &Value) {
        for (c, candidate) in items(&document["candidates"]) {
            for (p, part) in items(&candidate["content"]["parts"]) {
                let call = &part["functionCall"];
                if call.is_object() {
                    let key = format!("gemini {number} {c} {p}");
                    self.name(&key, &call["name"], &Value::Null);
                    let place = format!("/candidates/{c}/content/parts/{p}/functionCall/args");
                    self.slot(&key, number, place, Kind::Object);
                }
            }
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Appends every string of a document to the text of its place.
fn leaves(value: &Value, place: &mut String, texts: &mut BTreeMap<String, String>) {
    let len = place.len();
    match value {
        Value::String(text) => texts.entry(place.clone()).or_default().push_str(text),
        Value::Array(list) => {
            for (i, item) in list.iter().enumerate() {
                *place += &format!("/{i}");
                leaves(item, place, texts);
                place.truncate(len);
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                *place += &format!("/{name}");
                leaves(item, place, texts);
                place.truncate(len);
            }
        }
        _ => {}
    }
}
