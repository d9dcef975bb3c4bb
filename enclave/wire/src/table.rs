//! The provider table: which names, endpoints, credentials and metering rules exist.
//!
//! A table is text, measured as part of the image. Every reader of a table (enclave, host, agent)
//! uses this parser; the order of `provider` lines gives the index that travels on the wire.
//!
//! ```text
//! meter NAME                     fixed JSON paths, at their exact depth; `[]` steps into an array
//!   label PATH                   where the answer names its model
//!   SLOT PATH                    where a count stands (control::Slot); of several, the last wins
//! api NAME                       what several providers speak alike
//!   envelope openai|anthropic|gemini
//!   credential FORM [FORM...]    the first is the one that Aegis adds
//!   endpoint METHOD PATTERN CLASS [meter=NAME] [replayable] [account-scoped]
//! provider NAME
//!   authority NAME[:PORT]
//!   api NAME
//!   prefix /NAME                 the agent's path prefix
//!   roots NAME                   set of TLS roots
//! ```
//!
//! In a pattern `{}` stands for one or more of `[A-Za-z0-9._~@:-]`.

use alloc::vec::Vec;

use crate::{
    Malformed,
    control::{Class, Slot},
};

/// Index of a provider in the table: the only way host and enclave name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderIndex(pub u16);

/// A parsed table.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// In the order of their lines.
    pub providers: Vec<Provider<'a>>,
}

/// One upstream API under one name.
#[derive(Debug, Clone)]
pub struct Provider<'a> {
    /// What people and configuration files call it.
    pub name: &'a str,
    /// Host name, and port unless 443.
    pub authority: &'a str,
    /// The agent's path prefix.
    pub prefix: &'a str,
    /// Name of a set of TLS roots.
    pub roots: &'a str,
    /// What it speaks.
    pub api: Api<'a>,
}

/// What several providers speak alike.
#[derive(Debug, Clone)]
pub struct Api<'a> {
    name: &'a str,
    /// Shape of error bodies.
    pub envelope: Envelope,
    /// Accepted forms; the first is the one that is added.
    pub credentials: Vec<Credential>,
    /// Everything that can be asked.
    pub endpoints: Vec<Endpoint<'a>>,
}

/// Shape of error bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// `{"error":{"message","type","param","code"}}`
    OpenAi,
    /// `{"type":"error","error":{"type","message"}}`
    Anthropic,
    /// `{"error":{"code","message","status"}}`
    Gemini,
}

/// How a provider takes its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// `authorization: Bearer`
    Bearer,
    /// A header of its own.
    Header(&'static str),
    /// The query parameter `key`.
    QueryKey,
}

/// One (method, path pattern) of a provider.
#[derive(Debug, Clone)]
pub struct Endpoint<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path, with `{}` as described above.
    pub pattern: &'a str,
    /// Kind of work.
    pub class: Class,
    /// How usage is read, if at all.
    pub meter: Option<Meter<'a>>,
    /// A failed attempt may be made again.
    pub replayable: bool,
    /// One tenant could read another's content through the account.
    pub account_scoped: bool,
}

/// Fixed JSON paths of an answer.
#[derive(Debug, Clone, Default)]
pub struct Meter<'a> {
    name: &'a str,
    /// Where the model is named.
    pub labels: Vec<Path<'a>>,
    /// Where the counts stand.
    pub counts: Vec<(Slot, Path<'a>)>,
}

/// Keys from the top of a JSON text, separated by dots; `[]` is any element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a>(pub &'a str);

impl<'a> Path<'a> {
    /// The keys in order.
    pub fn steps(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('.')
    }
}

impl<'a> Table<'a> {
    /// Reads a table; the error names the rule that the first bad line breaks.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let (mut meters, mut apis, mut providers) = (Vec::new(), Vec::new(), Vec::new());
        let mut section = "";
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(key) = words.next() else { continue };
            let value = words
                .next()
                .ok_or(Malformed("table: a line without a value"))?;
            if line.starts_with(key) {
                section = key;
            }
            match (section, line.starts_with(key)) {
                ("meter", true) => meters.push(Meter {
                    name: value,
                    ..Meter::default()
                }),
                ("api", true) => apis.push(Api::new(value)),
                ("provider", true) => providers.push(Provider::new(value)),
                ("meter", false) => last(&mut meters)?.line(key, value)?,
                ("api", false) => last(&mut apis)?.line(key, value, words, &meters)?,
                ("provider", false) => last(&mut providers)?.line(key, value, &apis)?,
                _ => return Err(Malformed("table: unknown section")),
            }
        }
        let whole = |p: &Provider<'_>| {
            let parts = [p.authority, p.prefix, p.roots, p.api.name];
            parts.iter().all(|part| !part.is_empty()) && !p.api.credentials.is_empty()
        };
        let unique = |p: &Provider<'_>| {
            providers
                .iter()
                .filter(|q| q.authority == p.authority || q.name == p.name)
                .count()
                == 1
        };
        if !providers.iter().all(|p| whole(p) && unique(p)) {
            return Err(Malformed("table: a provider is incomplete or given twice"));
        }
        u16::try_from(providers.len()).map_err(|_| Malformed("table: too many providers"))?;
        Ok(Self { providers })
    }

    /// The provider of that authority; an explicit `:443` is the default port.
    pub fn by_authority(&self, authority: &str) -> Option<(ProviderIndex, &Provider<'a>)> {
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        let at = self
            .providers
            .iter()
            .position(|p| p.authority.eq_ignore_ascii_case(authority))?;
        Some((ProviderIndex(at as u16), &self.providers[at]))
    }

    /// The provider of that index.
    pub fn by_index(&self, index: ProviderIndex) -> Option<&Provider<'a>> {
        self.providers.get(usize::from(index.0))
    }
}

impl<'a> Provider<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            authority: "",
            prefix: "",
            roots: "",
            api: Api::new(""),
        }
    }

    fn line(&mut self, key: &str, value: &'a str, apis: &[Api<'a>]) -> Result<(), Malformed> {
        match key {
            "authority" => self.authority = value,
            "prefix" => self.prefix = value,
            "roots" => self.roots = value,
            "api" => {
                let api = apis.iter().find(|api| api.name == value);
                self.api = api.cloned().ok_or(Malformed("table: unknown api"))?;
            }
            _ => return Err(Malformed("table: unknown key of a provider")),
        }
        Ok(())
    }

    /// Host name without the port.
    pub fn host(&self) -> &'a str {
        self.authority.split(':').next().unwrap_or_default()
    }

    /// The endpoint that a request means.
    pub fn endpoint(&self, method: &str, path: &str) -> Option<&Endpoint<'a>> {
        self.api
            .endpoints
            .iter()
            .find(|e| e.method == method && matches(e.pattern, path))
    }
}

impl<'a> Api<'a> {
    fn new(name: &'a str) -> Self {
        let (credentials, endpoints) = (Vec::new(), Vec::new());
        Self {
            name,
            envelope: Envelope::OpenAi,
            credentials,
            endpoints,
        }
    }

    fn line(
        &mut self,
        key: &str,
        value: &'a str,
        mut words: core::str::SplitWhitespace<'a>,
        meters: &[Meter<'a>],
    ) -> Result<(), Malformed> {
        match key {
            "envelope" => self.envelope = Envelope::parse(value)?,
            "credential" => {
                for form in core::iter::once(value).chain(words) {
                    self.credentials.push(Credential::parse(form)?);
                }
            }
            "endpoint" => {
                let pattern = words
                    .next()
                    .ok_or(Malformed("table: endpoint without path"))?;
                let class = words.next().and_then(Class::from_word);
                let class = class.ok_or(Malformed("table: endpoint class"))?;
                let (method, meter) = (value, None);
                let (replayable, account_scoped) = (false, false);
                let mut endpoint = Endpoint {
                    method,
                    pattern,
                    class,
                    meter,
                    replayable,
                    account_scoped,
                };
                for mark in words {
                    endpoint.mark(mark, meters)?;
                }
                self.endpoints.push(endpoint);
            }
            _ => return Err(Malformed("table: unknown key of an api")),
        }
        Ok(())
    }
}

impl<'a> Endpoint<'a> {
    fn mark(&mut self, mark: &str, meters: &[Meter<'a>]) -> Result<(), Malformed> {
        match (mark, mark.strip_prefix("meter=")) {
            (_, Some(name)) => {
                let meter = meters.iter().find(|meter| meter.name == name);
                self.meter = Some(meter.cloned().ok_or(Malformed("table: unknown meter"))?);
            }
            ("replayable", _) => self.replayable = true,
            ("account-scoped", _) => self.account_scoped = true,
            _ => return Err(Malformed("table: unknown mark")),
        }
        Ok(())
    }
}

impl<'a> Meter<'a> {
    fn line(&mut self, key: &str, value: &'a str) -> Result<(), Malformed> {
        match (key, Slot::from_word(key)) {
            ("label", _) => self.labels.push(Path(value)),
            (_, Some(slot)) => self.counts.push((slot, Path(value))),
            _ => return Err(Malformed("table: unknown count")),
        }
        Ok(())
    }
}

impl Envelope {
    fn parse(word: &str) -> Result<Self, Malformed> {
        match word {
            "openai" => Ok(Self::OpenAi),
            "anthropic" => Ok(Self::Anthropic),
            "gemini" => Ok(Self::Gemini),
            _ => Err(Malformed("table: unknown envelope")),
        }
    }
}

impl Credential {
    fn parse(word: &str) -> Result<Self, Malformed> {
        match word {
            "bearer" => Ok(Self::Bearer),
            "x-api-key" => Ok(Self::Header("x-api-key")),
            "api-key" => Ok(Self::Header("api-key")),
            "x-goog-api-key" => Ok(Self::Header("x-goog-api-key")),
            "query-key" => Ok(Self::QueryKey),
            _ => Err(Malformed("table: unknown credential form")),
        }
    }
}

fn last<T>(section: &mut [T]) -> Result<&mut T, Malformed> {
    section
        .last_mut()
        .ok_or(Malformed("table: a line in no section"))
}

/// Whether a path is one of a pattern's. `{}` never matches a slash, a percent sign or a segment
/// of dots only, so that no two spellings of a path can be read differently by a provider.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once("{}") else {
        return pattern == path;
    };
    let Some(rest) = path.strip_prefix(before) else {
        return false;
    };
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~@:-".contains(byte);
    let longest = rest.bytes().take_while(|byte| fits(byte)).count();
    (1..=longest).rev().any(|len| {
        let (name, tail) = rest.split_at(len);
        name.bytes().any(|byte| byte != b'.') && matches(after, tail)
    })
}
