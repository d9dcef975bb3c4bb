//! The meaning of each entry.

use std::{collections::BTreeMap, path::Path};

use aegis_wire::{
    control::{Class, Custody},
    limits,
    session::VIRTUAL_KEY_PREFIX,
};
use zeroize::Zeroizing;

use super::{ConfigError, Enclave, error, file};
use crate::{
    books::Floors,
    legs::Place,
    money::Micro,
    providers::{PRODUCTION_TABLE, Providers},
    secret::Secret,
    store::Address,
};

/// What the ledger calls this host. Where others can use the same books it must be given: a host
/// gives up the open grants of its name, and two of one name would give up each other's.
pub(super) fn host_name(name: Option<String>, address: &Address) -> Result<String, ConfigError> {
    let missing = || {
        let reason = "it is missing, and other hosts can use the same PostgreSQL store";
        ConfigError::entry("name", reason, "give each host a name of its own")
    };
    let name = match address.is_shared() {
        true => name.ok_or_else(missing)?,
        false => name.unwrap_or_else(|| "host".into()),
    };
    named("name", &name)?;
    Ok(name)
}

pub(super) fn providers(table: Option<&Path>, folder: &Path) -> Result<Providers, ConfigError> {
    let text = match table {
        Some(path) => error::read(&folder.join(path))?,
        None => PRODUCTION_TABLE.to_owned(),
    };
    let next = "give the file that the enclave image was built with";
    Providers::parse(&text).map_err(|rule| ConfigError::entry("table", rule.to_string(), next))
}

pub(super) fn dials(dials: Vec<file::Dial>, providers: &mut Providers) -> Result<(), ConfigError> {
    for file::Dial { provider, address } in dials {
        let entry = format!("[[dial]] {}", shown(&provider));
        let index = index_of(&entry, &provider, providers)?;
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let next = "write HOST:PORT";
            return Err(ConfigError::entry(entry, "the address has no port", next));
        }
        providers.redirect(index, address);
    }
    Ok(())
}

pub(super) fn custodies(words: Option<Vec<String>>) -> Result<Vec<Custody>, ConfigError> {
    let Some(words) = words else {
        return Ok(Custody::ALL.into());
    };
    let next = "write some of \"client\", \"sealed\", \"host\"";
    if words.is_empty() {
        return Err(ConfigError::entry("custodies", "it names none, so nothing is served", next));
    }
    let custody = |word: &String| {
        Custody::from_word(word).ok_or_else(|| {
            ConfigError::entry("custodies", format!("{} is none", shown(word)), next)
        })
    };
    words.iter().map(custody).collect()
}

pub(super) fn enclaves(
    list: Vec<file::Enclave>,
    folder: &Path,
) -> Result<Vec<Enclave>, ConfigError> {
    let mut enclaves: Vec<Enclave> = Vec::new();
    for enclave in list {
        let entry = named("[[enclave]]", &enclave.name)?;
        let place = match (enclave.unix, enclave.vsock_cid, enclave.vhost) {
            (Some(path), None, None) => Place::Unix(folder.join(path)),
            (None, Some(cid), None) => Place::Vsock(cid),
            (None, None, Some(path)) => Place::Vhost(folder.join(path)),
            _ => {
                let reason = "it needs exactly one of unix, vsock_cid and vhost";
                return Err(ConfigError::entry(entry, reason, "keep one of them"));
            }
        };
        let twice = |other: &Enclave| other.name == enclave.name || other.place == place;
        if enclaves.iter().any(twice) {
            let reason = "its name or its place is given twice";
            return Err(ConfigError::entry(entry, reason, "give each enclave its own"));
        }
        enclaves.push(Enclave { name: enclave.name, release: enclave.release, place });
    }
    if enclaves.is_empty() {
        let next = "add one with name, release and unix, vsock_cid or vhost";
        return Err(ConfigError::entry("[[enclave]]", "there is none", next));
    }
    Ok(enclaves)
}

pub(super) fn reserve(given: BTreeMap<String, String>) -> Result<Floors, ConfigError> {
    let mut floors = Floors::default();
    for (word, amount) in given {
        let entry = format!("[reserve] {}", shown(&word));
        let class = class(&entry, &word)?;
        let amount: Micro = amount.parse().map_err(|_| {
            let reason = "it is no amount of at most six digits after the point";
            ConfigError::entry(&*entry, reason, "write it as text, like \"0.05\"")
        })?;
        floors.0.insert(class, amount);
    }
    Ok(floors)
}

/// The class of that word.
pub(crate) fn class(entry: &str, word: &str) -> Result<Class, ConfigError> {
    Class::from_word(word).ok_or_else(|| {
        let known: Vec<_> = Class::ALL.iter().map(|class| class.word()).collect();
        let reason = format!("class {} is none of {}", shown(word), known.join(", "));
        ConfigError::entry(entry, reason, "use one of these words")
    })
}

/// What a provider may be sent as a credential.
pub(crate) fn credential(entry: &str, content: String) -> Result<Secret, ConfigError> {
    let wrong = |reason: String, next| Err(ConfigError::entry(entry, reason, next));
    let credential = Secret::new(content);
    let bytes = credential.expose();
    if bytes.is_empty() || bytes.len() > limits::CREDENTIAL_BYTES {
        let reason = format!("its credential has {} bytes", bytes.len());
        return wrong(reason, "give one of 1 to 4096 bytes");
    }
    if !bytes.iter().all(u8::is_ascii_graphic) {
        let reason = "its credential has a space, a line end or a byte beyond ASCII".into();
        return wrong(reason, "give the bare value as the provider issued it");
    }
    if bytes.starts_with(VIRTUAL_KEY_PREFIX.as_bytes()) {
        let reason = "its credential is a virtual key of a router".into();
        return wrong(reason, "give the provider's own key");
    }
    Ok(credential)
}

/// The content of a variable; what is not a name of one is not repeated, because it may be the
/// secret itself, put there by mistake.
pub(crate) fn variable(entry: &str, name: &str) -> Result<Zeroizing<String>, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(fits) {
        let reason = "what stands there is no name of a variable";
        return Err(ConfigError::entry(entry, reason, "write the variable's name, not its value"));
    }
    std::env::var(name).map(Zeroizing::new).map_err(|_| {
        let reason = format!("the environment variable {name} is not set");
        ConfigError::entry(entry, reason, "export it, or give a file")
    })
}

pub(crate) fn index_of(entry: &str, name: &str, providers: &Providers) -> Result<u16, ConfigError> {
    providers.index_of(name).ok_or_else(|| {
        let (name, names) = (shown(name), providers.names());
        let reason = format!("provider {name} is not in the table, which has {names}");
        ConfigError::entry(entry, reason, "use one of these names or give another table")
    })
}

/// Names stand in logs, events and the ledger: short, printable, in one word.
pub(crate) fn named(kind: &str, name: &str) -> Result<String, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(format!("{kind} {name}"));
    }
    let reason = "a name has 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_`, `@`, `-`";
    Err(ConfigError::entry(kind, reason, "choose such a name"))
}

/// A word of the file in a message, unless it is so long that it could be a secret.
pub(crate) fn shown(word: &str) -> String {
    match word.len() {
        0..=24 => format!("`{}`", word.escape_debug()),
        _ => "(a long word)".into(),
    }
}
