//! Reads the text of the provider table. The enclave's build turns it into constants with
//! [`generate`]; host and agent read the same text when they start, with [`parse`].
//!
//! ```text
//! meter NAME                     fixed JSON paths, at their exact depth; `[]` steps into an array
//!   label PATH                   where the answer names its model
//!   SLOT PATH                    where a count stands (control::Slot); of several, the last wins
//! api NAME                       what several providers speak alike
//!   envelope openai|anthropic|gemini
//!   credential FORM [FORM...]    the first is the one that Aegis adds; it is a header
//!   endpoint METHOD PATTERN CLASS [meter=NAME] [replayable]
//! provider NAME
//!   authority NAME[:PORT]
//!   api NAME
//!   prefix /NAME                 the agent's path prefix
//!   roots NAME                   set of TLS roots
//! refusals
//!   CODE TEXT                    what an error code of the enclave's tells a person
//! ```
//!
//! In a pattern `{}` stands for one or more of `[A-Za-z0-9._~@-]`, `{:}` for these and `:`.
//! Lines of a section are indented; `#` starts a comment.

mod generate;

use std::fmt;

use aegis_wire::{
    control::{Class, Slot},
    table::{Credential, Endpoint, Envelope, Meter, Path, Provider, Table},
};
use sha2::{Digest, Sha256};

pub use generate::generate;

/// The first rule that a text breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// Counted from 1; 0 for the text as a whole.
    pub line: usize,
    /// The rule.
    pub rule: &'static str,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provider table, line {}: {}", self.line, self.rule)
    }
}

impl std::error::Error for TableError {}

/// What several providers speak alike, while it is being read.
#[derive(Default)]
struct Api {
    name: &'static str,
    envelope: Option<Envelope>,
    credentials: Vec<Credential>,
    endpoints: Vec<Endpoint>,
}

/// A meter by its name, while it is being read.
type NamedMeter = (&'static str, Vec<(Option<Slot>, Path)>);

#[derive(Default)]
struct Reader {
    meters: Vec<NamedMeter>,
    apis: Vec<Api>,
    providers: Vec<Provider>,
    refusals: Vec<(&'static str, &'static str)>,
}

type Rule = Result<(), &'static str>;

/// Reads a table. It lives as long as the process, like the text it was made from.
pub fn parse(text: &str) -> Result<&'static Table, TableError> {
    let digest = Sha256::digest(text).into();
    let text: &'static str = text.to_owned().leak();
    let mut reader = Reader::default();
    let mut section = "";
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        let Some(key) = line.split_whitespace().next() else { continue };
        let value = line.trim_start()[key.len()..].trim_start();
        let read = if line.starts_with(key) {
            section = key;
            reader.begin(key, value)
        } else {
            reader.line(section, key, value)
        };
        read.map_err(|rule| TableError { line: at + 1, rule })?;
    }
    reader.check().map_err(|rule| TableError { line: 0, rule })?;
    let Reader { providers, refusals, .. } = reader;
    let (providers, refusals) = (providers.leak(), refusals.leak());
    Ok(Box::leak(Box::new(Table { digest, providers, refusals })))
}

impl Reader {
    fn begin(&mut self, section: &str, name: &'static str) -> Rule {
        match (section, name) {
            ("refusals", _) => {}
            (_, "") => return Err("a section needs a name"),
            ("meter", _) => self.meters.push((name, Vec::new())),
            ("api", _) => self.apis.push(Api { name, ..Api::default() }),
            ("provider", _) => self.providers.push(Provider {
                name,
                authority: "",
                prefix: "",
                roots: "",
                envelope: Envelope::OpenAi,
                credentials: &[],
                endpoints: &[],
            }),
            _ => return Err("unknown section"),
        }
        Ok(())
    }

    fn line(&mut self, section: &str, key: &'static str, value: &'static str) -> Rule {
        if value.is_empty() {
            return Err("a line needs a value");
        }
        let Self { meters, apis, providers, refusals } = self;
        match section {
            "meter" => {
                let slot = if key == "label" { None } else { Some(slot(key)?) };
                let path: Vec<&str> = value.split('.').collect();
                last(meters)?.1.push((slot, path.leak()));
                Ok(())
            }
            "api" => last(apis)?.line(key, value, meters),
            "provider" => provider_line(last(providers)?, key, value, apis),
            "refusals" if value.contains(['"', '\\']) => Err("a text must need no JSON escapes"),
            "refusals" => {
                refusals.push((key, value));
                Ok(())
            }
            _ => Err("a line in no section"),
        }
    }

    fn check(&self) -> Rule {
        for provider in &self.providers {
            let Provider { name, authority, prefix, roots, credentials, .. } = provider;
            let whole = [authority, prefix, roots].iter().all(|part| !part.is_empty());
            if !whole || credentials.is_empty() {
                return Err("a provider is incomplete");
            }
            let alike = |other: &&Provider| other.name == *name || other.authority == *authority;
            if self.providers.iter().filter(alike).count() > 1 {
                return Err("a provider is given twice");
            }
        }
        let few = u16::try_from(self.providers.len()).is_ok();
        if few { Ok(()) } else { Err("more providers than an index counts") }
    }
}

impl Api {
    fn line(&mut self, key: &str, value: &'static str, meters: &[NamedMeter]) -> Rule {
        match key {
            "envelope" => self.envelope = Some(envelope(value)?),
            "credential" => {
                let forms = value.split_whitespace().map(credential);
                self.credentials = forms.collect::<Result<_, _>>()?;
                if self.credentials.first() == Some(&Credential::QueryKey) {
                    return Err("the first credential form must be a header");
                }
            }
            "endpoint" => self.endpoints.push(endpoint(value, meters)?),
            _ => return Err("unknown key of an api"),
        }
        Ok(())
    }
}

fn provider_line(provider: &mut Provider, key: &str, value: &'static str, apis: &[Api]) -> Rule {
    match key {
        "authority" => provider.authority = value,
        "prefix" => provider.prefix = value,
        "roots" => provider.roots = value,
        "api" => {
            let api = apis.iter().find(|api| api.name == value).ok_or("unknown api")?;
            provider.envelope = api.envelope.ok_or("an api without an envelope")?;
            provider.credentials = api.credentials.clone().leak();
            provider.endpoints = api.endpoints.iter().map(copy).collect::<Vec<_>>().leak();
        }
        _ => return Err("unknown key of a provider"),
    }
    Ok(())
}

fn endpoint(value: &'static str, meters: &[NamedMeter]) -> Result<Endpoint, &'static str> {
    let mut words = value.split_whitespace();
    let method = words.next().ok_or("an endpoint needs a method")?;
    let pattern = words.next().ok_or("an endpoint needs a path")?;
    let literal = pattern.replace("{}", "").replace("{:}", "");
    if !pattern.starts_with('/') || literal.contains(['{', '}', '%', '?']) {
        return Err("a path must begin with / and hold no placeholder but {} and {:}");
    }
    let class = words.next().and_then(Class::from_word).ok_or("unknown endpoint class")?;
    let mut endpoint = Endpoint { method, pattern, class, meter: None, replayable: false };
    for mark in words {
        match (mark, mark.strip_prefix("meter=")) {
            (_, Some(name)) => {
                let meter = meters.iter().find(|meter| meter.0 == name).ok_or("unknown meter")?;
                endpoint.meter = Some(meter.1.clone().leak() as Meter);
            }
            ("replayable", _) => endpoint.replayable = true,
            _ => return Err("unknown mark"),
        }
    }
    let stays = matches!(class, Class::File | Class::Batch | Class::Stored);
    if stays && endpoint.replayable {
        return Err("what leaves something in the account must not be made twice");
    }
    Ok(endpoint)
}

fn copy(endpoint: &Endpoint) -> Endpoint {
    let &Endpoint { method, pattern, class, meter, replayable } = endpoint;
    Endpoint { method, pattern, class, meter, replayable }
}

fn slot(word: &str) -> Result<Slot, &'static str> {
    Slot::from_word(word).ok_or("unknown count")
}

fn envelope(word: &str) -> Result<Envelope, &'static str> {
    match word {
        "openai" => Ok(Envelope::OpenAi),
        "anthropic" => Ok(Envelope::Anthropic),
        "gemini" => Ok(Envelope::Gemini),
        _ => Err("unknown envelope"),
    }
}

fn credential(word: &str) -> Result<Credential, &'static str> {
    match word {
        "bearer" => Ok(Credential::Bearer),
        "x-api-key" => Ok(Credential::Header("x-api-key")),
        "api-key" => Ok(Credential::Header("api-key")),
        "x-goog-api-key" => Ok(Credential::Header("x-goog-api-key")),
        "query-key" => Ok(Credential::QueryKey),
        _ => Err("unknown credential form"),
    }
}

fn last<T>(section: &mut [T]) -> Result<&mut T, &'static str> {
    section.last_mut().ok_or("a line in no section")
}
