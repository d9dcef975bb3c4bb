//! From a request head to a plan: which provider, which endpoint, which custody, which fields.

use alloc::vec::Vec;

use aegis_wire::account::Owner;
use aegis_wire::control::{Authorize, Custody};
use aegis_wire::limits;
use aegis_wire::session::ENCLAVE;
use aegis_wire::table::{Endpoint, Envelope, Provider, ProviderIndex, Table};

use crate::head::{self, Field};
use crate::refusal::Refusal;

/// A request head as received.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method, as is.
    pub method: &'a str,
    /// `:authority`, or the authority of an absolute target.
    pub authority: Option<&'a str>,
    /// Path and query, as is.
    pub path_and_query: &'a str,
    /// Header fields, names in lower case.
    pub fields: &'a [Field<'a>],
}

/// What is to be done with a request, should the host allow it.
#[derive(Debug)]
pub struct Plan<'r> {
    /// Where it goes.
    pub provider: &'static Provider,
    /// What it asks.
    pub endpoint: &'static Endpoint,
    /// Whose credential it takes.
    pub custody: Custody,
    /// In custody *sealed*, whose accounts the client accepts, in its order.
    pub owners: Vec<Owner>,
    /// The one of them who is asked; zero in other custodies.
    pub owner: Owner,
    /// Whether the host may learn the model's label.
    pub show_label: bool,
    /// Whether the client wants a receipt.
    pub receipt: bool,
    /// Where it goes, as host and table number it.
    pub index: ProviderIndex,
    target: Vec<u8>,
    fields: Vec<Field<'r>>,
}

impl<'r> Plan<'r> {
    /// Judges a head. With the refusal comes the envelope of the provider that was meant.
    pub fn new(table: &'static Table, request: &Request<'r>) -> Result<Self, (Refusal, Envelope)> {
        let authority = named(request).map_err(|refusal| (refusal, Envelope::OpenAi))?;
        let (index, provider) =
            table.by_authority(authority).ok_or((Refusal::UnknownProvider, Envelope::OpenAi))?;
        Self::at(index, provider, request).map_err(|refusal| (refusal, provider.envelope))
    }

    fn at(
        index: ProviderIndex,
        provider: &'static Provider,
        request: &Request<'r>,
    ) -> Result<Self, Refusal> {
        let Request { method, authority: _, path_and_query, fields } = *request;
        if !head::fits(fields) || path_and_query.len() > limits::TARGET_BYTES {
            return Err(Refusal::HeadTooLarge);
        }
        let lengths = head::values(fields, "content-length").count();
        let coded = head::values(fields, "transfer-encoding").count();
        let ambiguous = lengths + coded > 1 || head::is_ambiguous(path_and_query, fields);
        if ambiguous || !path_and_query.starts_with('/') {
            return Err(Refusal::BadRequest);
        }
        let path = path_and_query.split('?').next().unwrap_or_default();
        let endpoint = provider.endpoint(method, path).ok_or(Refusal::UnknownEndpoint)?;
        let (custody, owners) = custody(fields)?;
        // Whose accounts the host may give to whom is its owner's business; a sealed account's
        // owner is not asked, and the host is not to be believed.
        if custody == Custody::Sealed && endpoint.class.is_account_scoped() {
            return Err(Refusal::SealedScope);
        }
        if custody != Custody::Client
            && endpoint.meter.is_some()
            && head::hides_usage(path_and_query, fields)
        {
            return Err(Refusal::UsageHidden);
        }
        let own = match custody {
            Custody::Client => provider.credentials,
            Custody::Host | Custody::Sealed => &[],
        };
        let kept = head::request_fields(fields, own);
        let target = head::target(path_and_query, own);
        if custody == Custody::Client && !head::has_credential(&kept, &target, own) {
            return Err(Refusal::CredentialMissing);
        }
        let show_label = !asks(fields, "aegis-model", [b"show", b"hide"])?;
        let receipt = asks(fields, "aegis-receipt", [b"0", b"1"])?;
        let (owner, fields) = (Owner::default(), kept);
        Ok(Self {
            provider,
            endpoint,
            custody,
            owners,
            owner,
            show_label,
            receipt,
            index,
            target,
            fields,
        })
    }

    /// The question for the host.
    pub fn authorize(&self, session: u64, request: u64, attempt: u8) -> Authorize {
        let Self { endpoint, custody, owner, index, .. } = *self;
        let (provider, class) = (index.0, endpoint.class);
        Authorize { session, request, attempt, provider, class, custody, owner }
    }

    /// Whether a failed attempt may be made again (DESIGN 3.9): never with the caller's own
    /// credential, since there is no other account.
    pub fn replayable(&self) -> bool {
        self.endpoint.replayable && self.custody != Custody::Client
    }

    /// Path and query that leave.
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// The fields that leave, as received and in their order.
    pub fn fields(&self) -> &[Field<'r>] {
        &self.fields
    }

    /// The one field that is added, with the account's credential; none in client custody.
    pub fn credential(&self, credential: &[u8]) -> Option<(&'static str, Vec<u8>)> {
        let form = self.provider.credentials.first().filter(|_| self.custody != Custody::Client)?;
        Some(head::credential_field(*form, credential))
    }
}

/// Whether a field asks for something. A wish in other words would be ignored in silence.
fn asks(fields: &[Field<'_>], name: &str, [no, yes]: [&[u8]; 2]) -> Result<bool, Refusal> {
    let mut values = head::values(fields, name);
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value == no || value == yes => Ok(value == yes),
        _ => Err(Refusal::BadRequest),
    }
}

/// Whether a request is for the enclave itself (PROTOCOL.md, section 6.1).
pub fn is_for_enclave(request: &Request<'_>) -> bool {
    let name = named(request).unwrap_or_default();
    name.strip_suffix(":443").unwrap_or(name).eq_ignore_ascii_case(ENCLAVE)
}

/// The one authority that a request names.
fn named<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    let mut hosts = head::values(request.fields, "host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(str::from_utf8(host).map_err(|_| Refusal::BadRequest)?),
        (None, _) => None,
        _ => return Err(Refusal::BadRequest),
    };
    match (request.authority, host) {
        (Some(one), Some(two)) if !one.eq_ignore_ascii_case(two) => Err(Refusal::BadRequest),
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(Refusal::UnknownProvider),
    }
}

/// The custody stated, exactly once; *sealed* with one to four owners, and no other with any.
fn custody(fields: &[Field<'_>]) -> Result<(Custody, Vec<Owner>), Refusal> {
    let mut stated = head::values(fields, "aegis-custody");
    let text = stated.next().filter(|_| stated.next().is_none());
    let mut words = text.and_then(|text| str::from_utf8(text).ok()).unwrap_or_default().split(' ');
    let custody = words.next().and_then(Custody::from_word);
    let owners: Option<Vec<_>> = words.map(owner).collect();
    let (custody, owners) = custody.zip(owners).ok_or(Refusal::CustodyMissing)?;
    let count = if custody == Custody::Sealed { 1..=limits::OWNERS } else { 0..=0 };
    if count.contains(&owners.len()) { Ok((custody, owners)) } else { Err(Refusal::CustodyMissing) }
}

/// An owner in 64 lower-case hexadecimal digits.
fn owner(word: &str) -> Option<Owner> {
    let mut owner = Owner::default();
    for (byte, pair) in owner.iter_mut().zip(word.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| (pair[at] as char).to_digit(16);
        // Two hex digits are at most 255.
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    let lower = !word.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && word.len() == 64 && owner != Owner::default()).then_some(owner)
}
