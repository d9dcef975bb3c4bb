//! The provider table: which names, endpoints, credentials and metering rules exist.
//!
//! A table is data. Its text is read by `aegis-table`, for the enclave when the image is built, so
//! that no parser is part of it. The order of its providers gives the index that travels.

use crate::control::{Class, Slot};

/// Index of a provider in the table: the only way host and enclave name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderIndex(pub u16);

/// A whole table.
#[derive(Debug)]
pub struct Table {
    /// SHA-256 of the text.
    pub digest: [u8; 32],
    /// In the order of the text.
    pub providers: &'static [Provider],
    /// What each error code of the enclave's tells a person.
    pub refusals: &'static [(&'static str, &'static str)],
}

/// One upstream API under one name.
#[derive(Debug)]
pub struct Provider {
    /// What people and configuration files call it.
    pub name: &'static str,
    /// Host name, and port unless 443.
    pub authority: &'static str,
    /// The agent's path prefix.
    pub prefix: &'static str,
    /// Name of a set of TLS roots.
    pub roots: &'static str,
    /// Shape of error bodies.
    pub envelope: Envelope,
    /// Accepted forms; the first, a header, is the one that is added.
    pub credentials: &'static [Credential],
    /// Everything that can be asked.
    pub endpoints: &'static [Endpoint],
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
#[derive(Debug)]
pub struct Endpoint {
    /// HTTP method.
    pub method: &'static str,
    /// Path; `{}` stands for one or more of `[A-Za-z0-9._~@-]`, `{:}` for these and `:`.
    pub pattern: &'static str,
    /// Kind of work.
    pub class: Class,
    /// How usage is read, if at all.
    pub meter: Option<Meter>,
    /// A failed attempt may be made again.
    pub replayable: bool,
}

/// Fixed JSON paths of an answer: where the model is named (no slot) and where counts stand. Of
/// several paths to one slot the last seen counts.
pub type Meter = &'static [(Option<Slot>, Path)];

/// Keys from the top of a JSON text; `[]` is any element of an array.
pub type Path = &'static [&'static str];

impl Table {
    /// The provider of that authority; an explicit `:443` is the default port.
    pub fn by_authority(&self, authority: &str) -> Option<(ProviderIndex, &Provider)> {
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        let named = |p: &Provider| p.authority.eq_ignore_ascii_case(authority);
        let at = self.providers.iter().position(named)?;
        Some((ProviderIndex(at as u16), &self.providers[at]))
    }

    /// The provider of that index.
    pub fn by_index(&self, index: ProviderIndex) -> Option<&Provider> {
        self.providers.get(usize::from(index.0))
    }
}

impl Provider {
    /// Host name without the port.
    pub fn host(&self) -> &'static str {
        self.authority.split(':').next().unwrap_or_default()
    }

    /// The endpoint that a request means.
    pub fn endpoint(&self, method: &str, path: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.method == method && matches(e.pattern, path))
    }
}

/// Whether a path is one of a pattern's. A placeholder never matches a slash, a percent sign or a segment
/// of dots only, so that no two spellings of a path can be read differently by a provider.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once('{') else { return pattern == path };
    let Some(rest) = path.strip_prefix(before) else { return false };
    let (kind, after) = after.split_once('}').unwrap_or_default();
    let fits = |byte: &u8| {
        byte.is_ascii_alphanumeric() || b"._~@-".contains(byte) || kind.as_bytes() == [*byte]
    };
    let longest = rest.bytes().take_while(|byte| fits(byte)).count();
    (1..=longest).rev().any(|len| {
        let (name, tail) = rest.split_at(len);
        name.bytes().any(|byte| byte != b'.') && matches(after, tail)
    })
}
