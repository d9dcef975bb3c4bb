//! What `aegis up` prints. What the operator saw comes from the host's own lines and from nowhere
//! else; every field of a line is shown, known to this program or not.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::{agent::start::say, failure::Failure};

/// Fields that lead a line, in this order; the others follow by name.
const ORDER: [&str; 12] = [
    "state", "request", "attempt", "session", "tenant", "key", "provider", "class", "custody",
    "outcome", "grant", "account",
];

/// Text or JSON lines on standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) json: bool,
}

/// All that a new user is told.
pub(super) struct Beginning {
    /// `http://127.0.0.1:4180`
    pub(super) agent: String,
    /// What an SDK sends as its key.
    pub(super) key: String,
    /// Base URL lines, each with who answers.
    pub(super) base_urls: Vec<(String, &'static str)>,
    /// Where to connect, if the URLs do not tell.
    pub(super) hint: Option<String>,
    /// A request to paste.
    pub(super) curl: String,
    /// The walk through verification.
    pub(super) walk: String,
    /// The steps, as data.
    pub(super) steps: Vec<(&'static str, String)>,
}

impl Beginning {
    /// The line of readiness.
    pub(super) fn line(&self) -> String {
        let steps: Vec<_> =
            self.steps.iter().map(|(step, found)| json!({"step": step, "found": found})).collect();
        let urls: Vec<_> = self.base_urls.iter().map(|(url, _)| url).collect();
        json!({
            "event": "ready",
            "agent": self.agent,
            "key": self.key,
            "base_urls": urls,
            "verification": steps,
        })
        .to_string()
    }

    fn text(&self) -> String {
        let mut text = "\
The whole router runs on this machine. Its enclave is the development one, a plain process: this shows how the path works \
and protects nothing.\n\nSet one of these and leave your SDK as it is:\n"
            .to_owned();
        for (url, answers) in &self.base_urls {
            text += &format!("  {url:<64} {answers}\n");
        }
        text += &self.hint.as_ref().map_or_else(String::new, |hint| format!("{hint}\n"));
        text += &format!("with this API key:\n  {}\n", self.key);
        text += &format!("or paste this:\n  {}\n\n", self.curl);
        text += &self.walk;
        text += "\nWhat the router's operator sees from here on, all of it (Ctrl-C ends):\n";
        text
    }
}

impl Report {
    /// Readiness.
    pub(super) fn begin(self, beginning: &Beginning) {
        match self.json {
            true => say(&format!("{}\n", beginning.line())),
            false => say(&beginning.text()),
        }
    }

    /// A line of the host's.
    pub(super) fn operator(self, line: &str) {
        let seen: Result<Value, _> = serde_json::from_str(line);
        match (self.json, seen) {
            (true, Ok(seen)) => say(&format!("{}\n", json!({"event": "operator", "seen": seen}))),
            (false, Ok(Value::Object(seen))) => say(&format!("  {}\n", text(&seen))),
            // Not a line of the host's making, and still something that it printed.
            (_, _) => say(&format!("  {line}\n")),
        }
    }
}

/// Writes the line of readiness so that a reader finds all of it or nothing.
pub(super) fn write_ready(path: &std::path::Path, line: &str) -> Result<(), Failure> {
    let written = || {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        // A temporary file is private to its owner, as the key in it should be.
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref()))?;
        writeln!(file, "{line}")?;
        file.persist(path).map_err(|e| e.error)
    };
    match written() {
        Ok(_) => Ok(()),
        Err(e) => {
            let path = path.display();
            Err(Failure::environment(format!(
                "cannot write the ready file {path}: {e}; choose another --ready-file"
            )))
        }
    }
}

fn text(seen: &Map<String, Value>) -> String {
    let time = seen.get("at_ms").and_then(Value::as_u64).map(clock);
    let event = seen.get("event").and_then(Value::as_str).unwrap_or("?");
    let mut words = vec![format!("{} {event:<9}", time.unwrap_or_default())];
    let known = ORDER.iter().filter_map(|name| Some((*name, seen.get(*name)?)));
    let others = seen
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !["at_ms", "event"].contains(name) && !ORDER.contains(name));
    words.extend(known.chain(others).map(|(name, value)| field(name, value)));
    words.join(" ")
}

fn field(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{name}={text}"),
        Value::Object(parts) => {
            let parts: Vec<_> = parts
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{name}:{value}"))
                .collect();
            format!("{name}={{{}}}", parts.join(" "))
        }
        other => format!("{name}={other}"),
    }
}

/// Time of day, UTC.
fn clock(at_ms: u64) -> String {
    let (seconds, ms) = (at_ms / 1000 % 86_400, at_ms % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{ms:03}", seconds % 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_field_of_a_line_is_shown() {
        let line = json!({
            "at_ms": 90_061_007_u64, "event": "usage", "grant": 7, "request": "ab-1",
            "counts": {"input": 2, "output": null}, "label": "mock-1", "unheard_of": true,
        });
        assert_eq!(
            text(line.as_object().unwrap()),
            "01:01:01.007 usage     request=ab-1 grant=7 counts={input:2} label=mock-1 \
             unheard_of=true"
        );
    }

    #[test]
    fn the_ready_file_is_private_and_whole() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.json");
        write_ready(&path, "{}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
